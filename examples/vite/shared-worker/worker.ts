/**
 * The shared worker, which has the connection of all tabs.
 */
import * as BrowserSwaggerSocket from "effect-swaggersocket/browser"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Hub } from "./hub.ts"

Effect.runFork(Layer.launch(BrowserSwaggerSocket.layerTabs().pipe(Layer.provide(Hub))))
