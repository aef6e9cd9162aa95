import { createHash } from "node:crypto";
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { defineConfig, type Plugin } from "vite";

const PAGE = "../src/cardiomorph/viewer/page";

/** The API's page is Swagger UI as published; it is copied, for nothing may be loaded from elsewhere. */
function swagger(): Plugin {
  const swaggerUi = createRequire(import.meta.url)("swagger-ui-dist") as { getAbsoluteFSPath: () => string };
  return {
    name: "swagger",
    closeBundle() {
      for (const file of ["swagger-ui-bundle.js", "swagger-ui-bundle.js.LICENSE.txt", "swagger-ui.css"]) {
        copyFileSync(join(swaggerUi.getAbsoluteFSPath(), file), join(PAGE, "assets", file));
      }
    },
  };
}

/** The licence of every package that went into the script. */
function licences(): Plugin {
  return {
    name: "licences",
    generateBundle() {
      const names = new Set(["swagger-ui-dist"]);
      for (const id of this.getModuleIds()) {
        const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(id);
        if (found) names.add(found[1]!);
      }
      const texts = [...names].sort().map((name) => {
        const folder = join("node_modules", name);
        const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Record<string, string>;
        const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
        return `${name} ${version} (${license ?? "see below"})\n\n${file ? readFileSync(join(folder, file), "utf8") : ""}`;
      });
      this.emitFile({ type: "asset", fileName: "assets/LICENCES.txt", source: texts.join("\n\n----\n\n") });
    },
  };
}

/** What the page was built from, so that a test can say that it was built again after a change. */
function sourceDigest(): Plugin {
  return {
    name: "source-digest",
    closeBundle() {
      const files = ["index.html", "package-lock.json", "vite.config.ts"];
      for (const folder of ["public", "src"]) files.push(...readdirSync(folder).map((name) => `${folder}/${name}`));
      const hash = createHash("sha256");
      for (const file of files.sort()) hash.update(`${file}\n`).update(readFileSync(file));
      writeFileSync(join(PAGE, "source.sha256"), `${hash.digest("hex")}\n`);
    },
  };
}

// One script and one style sheet: the export folds them into one file. Their names hold their hashes, so they can be cached.
export default defineConfig({
  base: "./",
  plugins: [swagger(), licences(), sourceDigest()],
  build: {
    outDir: PAGE,
    emptyOutDir: true,
    // Older targets would turn light-dark() into media queries, which the theme button cannot change.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    chunkSizeWarningLimit: 4096,
    rolldownOptions: {
      output: {
        codeSplitting: false,
        entryFileNames: "assets/viewer-[hash].js",
        assetFileNames: "assets/viewer-[hash][extname]",
      },
    },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8765" } },
});
