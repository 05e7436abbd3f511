/**
 * Runs the chatter service until Ctrl+C.
 *
 *     npx tsx examples/chatter/main.ts --port 8080
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Layer from "effect/Layer"
import { layer } from "./server.ts"
import { layerMemory } from "./store.ts"

const port = Number(process.argv[process.argv.indexOf("--port") + 1] ?? 8080)
NodeRuntime.runMain(Layer.launch(layer({ port, host: "127.0.0.1" }).pipe(Layer.provide(layerMemory))))
