import "./style.css";

import { FrozenSource, ServerSource, type Frozen, type Source } from "./api";
import { App } from "./app";
import { el } from "./dom";

/** A token comes once, in the address that the server printed, and stays with this tab. */
function token(): string | null {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given !== null) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", "#");
  }
  return given ?? sessionStorage.getItem("token");
}

function source(): Source {
  const frozen = document.querySelector("#frozen");
  if (frozen !== null) return new FrozenSource(JSON.parse(frozen.textContent) as Frozen);
  return new ServerSource(token());
}

const root = document.querySelector<HTMLElement>("#app")!;
try {
  const from = source();
  const [atlas, latent] = [await from.atlas(), await from.latent()];
  const app = new App(root, from, atlas, latent);
  // For the browser's console and for tests.
  Object.assign(window, { cardiomorph: app });
  await app.start();
} catch (error) {
  root.append(el("p", { class: "problem", role: "alert" }, (error as Error).message));
}
