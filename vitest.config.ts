import * as path from "node:path"
import { defineConfig } from "vitest/config"

const src = (file: string) => path.join(import.meta.dirname, "src", file)

export default defineConfig({
  resolve: {
    alias: [
      { find: /^effect-swaggersocket$/, replacement: src("index.ts") },
      { find: /^effect-swaggersocket\/(node|browser)$/, replacement: src("$1/index.ts") },
      { find: /^effect-swaggersocket\/(.*)$/, replacement: src("$1.ts") }
    ]
  },
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000
  }
})
