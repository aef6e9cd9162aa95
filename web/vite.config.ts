import { defineConfig } from "vite";

// One script and one style sheet of fixed names: the package ships them, and the export folds them into one file.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../src/cardiomorph/viewer/page",
    emptyOutDir: true,
    chunkSizeWarningLimit: 4096,
    rolldownOptions: {
      output: {
        codeSplitting: false,
        entryFileNames: "assets/viewer.js",
        assetFileNames: "assets/viewer[extname]",
      },
    },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8765" } },
});
