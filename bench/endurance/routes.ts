/**
 * The API that both ends serve. Each execution is written down before the answer leaves.
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { body, check } from "./bodies.ts"
import type { RecordFile } from "./records.ts"

export const makeRoutes = (file: RecordFile) => {
  const execute = Effect.map(HttpRouter.params, ({ call, caller }) => {
    file.write(Number(caller), Number(call), "executed")
    return `${caller}/${call}`
  })
  return Layer.mergeAll(
    HttpRouter.add(
      "POST",
      "/small/:caller/:call",
      Effect.gen(function*() {
        const id = yield* execute
        const request = yield* HttpServerRequest.HttpServerRequest
        return HttpServerResponse.text(`${id} ${yield* request.text}`)
      })
    ),
    HttpRouter.add(
      "POST",
      "/up/:caller/:call",
      Effect.gen(function*() {
        const id = yield* execute
        const request = yield* HttpServerRequest.HttpServerRequest
        return HttpServerResponse.text(`${id} ${yield* check(request.stream)}`)
      })
    ),
    HttpRouter.add(
      "POST",
      "/down/:caller/:call/:size",
      Effect.gen(function*() {
        yield* execute
        const { size } = yield* HttpRouter.params
        return HttpServerResponse.stream(body(Number(size)))
      })
    )
  )
}

export const quiet = { disableLogger: true, disableListenLog: true }
