import "./style.css";

import { FrozenSource, ServerSource, Unauthorised, Unreachable, type Frozen, type Source } from "./api";
import { App } from "./app";
import { el } from "./elements";

/** A token comes once, in the address that the server printed, and stays with this tab. */
function token(): string | null {
  const address = new URLSearchParams(location.hash.slice(1));
  const given = address.get("token");
  if (given !== null) {
    sessionStorage.setItem("token", given);
    address.delete("token");
    history.replaceState(null, "", `#${address}`);
  }
  return given ?? sessionStorage.getItem("token");
}

function source(): Source {
  const frozen = document.querySelector("#frozen");
  if (frozen !== null) return new FrozenSource(JSON.parse(frozen.textContent) as Frozen);
  return new ServerSource(token());
}

/** Asks for the token that the server asks for. */
function asked(words: string): Promise<string> {
  return new Promise((given) => {
    const input = el("input", { type: "password", autocomplete: "off", required: true });
    const submit = (event: Event): void => {
      event.preventDefault();
      sessionStorage.setItem("token", input.value.trim());
      form.remove();
      given(input.value.trim());
    };
    const form = el(
      "form",
      { class: "token", submit },
      el("p", { role: "alert" }, `${words}: it stands in the address that 'cardiomorph view' printed.`),
      el("label", {}, "Token ", input),
      el("button", { type: "submit" }, "Open"),
    );
    root.append(form);
    input.focus();
  });
}

const RETRY_MS = 2000;

/** The page, as soon as the server lets it in. */
async function opened(from: Source): Promise<App> {
  const waiting = el("p", { class: "problem", role: "alert" });
  for (;;) {
    try {
      const [atlas, latent] = [await from.atlas(), await from.latent()];
      waiting.remove();
      return new App(root, from, atlas, latent);
    } catch (error) {
      if (error instanceof Unauthorised) from = new ServerSource(await asked(error.message));
      else if (error instanceof Unreachable) {
        waiting.textContent = `${error.message}; trying again.`;
        root.append(waiting);
        await new Promise((again) => setTimeout(again, RETRY_MS));
      } else throw error;
    }
  }
}

const root = document.querySelector<HTMLElement>("#app")!;
try {
  const app = await opened(source());
  // For the browser's console and for tests.
  Object.assign(window, { cardiomorph: app });
  await app.start();
} catch (error) {
  root.append(el("p", { class: "problem", role: "alert" }, (error as Error).message));
}
