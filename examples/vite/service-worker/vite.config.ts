import { defineConfig } from "vite"

// The worker is a script of its own, whose address stays the same: browsers look there for a newer one.
export default defineConfig({
  build: {
    rolldownOptions: { input: ["index.html", "worker.ts"], output: { entryFileNames: "[name].js" } }
  }
})
