/**
 * Node b, to be killed.
 */
import * as Directory from "effect-swaggersocket/Directory"
import * as Effect from "effect/Effect"
import { main, type Message, tell } from "../../support/child.ts"
import { makeSocketNode } from "../socketNodes.ts"

export interface Listening extends Message {
  readonly type: "listening"
  /** For devices. */
  readonly url: string
  /** For other nodes. */
  readonly nodes: string
}

main(Effect.gen(function*() {
  const { links, url } = yield* makeSocketNode("b", (url) => Directory.layerStatic([{ name: "b", url }]))
  yield* tell<Listening>({ type: "listening", url, nodes: links.node.url })
}))
