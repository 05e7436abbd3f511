import * as path from "node:path"
import { defineConfig } from "vitest/config"

// Vitest's reporter groups what it prints with it; Node 20 has none.
Map.groupBy ??= (items, keyOf) => {
  const groups = new Map()
  let index = 0
  for (const item of items) {
    const key = keyOf(item, index++)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}

const src = (file: string) => path.join(import.meta.dirname, "src", file)

export default defineConfig({
  resolve: {
    alias: [
      { find: /^effect-swaggersocket$/, replacement: src("index.ts") },
      { find: /^effect-swaggersocket\/(node|browser|testing)$/, replacement: src("$1/index.ts") },
      { find: /^effect-swaggersocket\/(.*)$/, replacement: src("$1.ts") }
    ]
  },
  test: {
    // A test that waits in vain is told so by its own limits; what runs whole takes long.
    testTimeout: process.env.WHOLE === "1" ? 3_600_000 : 60_000,
    projects: [
      {
        extends: true,
        // Two more than by default on two cores: many tests wait for sockets, processes and browsers.
        test: { name: "behaviour", maxWorkers: 3, include: ["test/**/*.test.ts"], exclude: ["test/load/**"] }
      },
      {
        // What is measured must not share the machine with other tests.
        extends: true,
        test: {
          name: "load",
          include: ["test/load/**/*.test.ts"],
          fileParallelism: false,
          sequence: { groupOrder: 1 }
        }
      }
    ]
  }
})
