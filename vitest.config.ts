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

/** Tests that measure the memory or the processor time of their process, or change how all of its fibers run. */
const alone = [
  "test/connection/{concurrency,keptErrors}.test.ts",
  "test/ecosystem/*.test.ts",
  "test/faults/**/*.test.ts",
  "test/frame/fuzz.test.ts",
  "test/hostile/{heads,memory}.test.ts",
  "test/node/partialMessages.test.ts",
  "test/simulation/**/*.test.ts",
  "test/streaming/slowReaders.test.ts",
  "test/streams/abandonedBodies.test.ts",
  "test/sweep/**/*.test.ts",
  "test/v1/{fuzz,hostile,parser}.test.ts"
]

/** Three more than by default on two cores: many tests wait for sockets, processes and browsers. */
const maxWorkers = 4

export default defineConfig({
  resolve: {
    alias: [
      { find: /^effect-swaggersocket$/, replacement: src("index.ts") },
      { find: /^effect-swaggersocket\/(bun|deno|hono|workers)$/, replacement: src("runtimes/$1.ts") },
      { find: /^effect-swaggersocket\/(nats|node|browser|promise|testing)$/, replacement: src("$1/index.ts") },
      { find: /^effect-swaggersocket\/(.*)$/, replacement: src("$1.ts") }
    ]
  },
  test: {
    globalSetup: "test/support/programsFolder.ts",
    setupFiles: "test/support/setup.ts",
    // A test that waits in vain is told so by its own limits; what runs whole takes long.
    testTimeout: process.env.WHOLE === "1" ? 3_600_000 : 60_000,
    projects: [
      {
        // A process for each file.
        extends: true,
        test: { name: "alone", maxWorkers, include: alone }
      },
      {
        // A process runs one file after the other: loading Effect takes longer than most of them.
        extends: true,
        test: {
          name: "behaviour",
          maxWorkers,
          isolate: false,
          include: ["test/**/*.test.ts"],
          exclude: ["test/load/**", "test/ecosystem/**", ...alone]
        }
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
