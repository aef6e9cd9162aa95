const field = document.querySelector("#token");
field.value = sessionStorage.getItem("token") ?? "";
field.addEventListener("input", () => sessionStorage.setItem("token", field.value));

const requestInterceptor = (request) => {
  if (field.value) request.headers["Authorization"] = `Bearer ${field.value}`;
  return request;
};
window.SwaggerUIBundle({ url: "openapi.json", dom_id: "#api", validatorUrl: null, requestInterceptor });
