/** Elements in one call. */

type Child = Node | string | null;
type Attributes = Record<string, string | number | boolean | ((event: Event) => void) | undefined>;

function dressed<E extends Element>(element: E, attributes: Attributes, children: Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function el<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return dressed(document.createElement(name), attributes, children);
}

export function svg(name: string, attributes: Attributes = {}, ...children: Child[]): SVGElement {
  return dressed(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

/** A picture with a name that a screen reader says. */
export function picture(name: string, width: number, height: number, ...children: Child[]): SVGElement {
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": name }, ...children);
}

export function field(label: string, control: HTMLElement, ...more: Child[]): HTMLElement {
  return el("label", { class: "field" }, el("span", {}, label), control, ...more);
}

export function select(
  label: string,
  options: Record<string, string>,
  value: string,
  changed: (value: string) => void,
): [HTMLElement, HTMLSelectElement] {
  const control = el(
    "select",
    { change: () => changed(control.value) },
    ...Object.entries(options).map(([key, text]) => el("option", { value: key, selected: key === value }, text)),
  );
  return [field(label, control), control];
}

export function save(blob: Blob, name: string): void {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
