import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { apiCases } from "./http/api.ts"
import { bodyCases } from "./http/bodies.ts"
import { failureCases } from "./http/failures.ts"
import { fileCases } from "./http/files.ts"
import type { Case, Services } from "./http/harness.ts"
import { headerCases } from "./http/headers.ts"
import { interruptionCases } from "./http/interruption.ts"
import { multipartCases } from "./http/multipart.ts"
import { requestLineCases } from "./http/requestLine.ts"
import { responseCases } from "./http/responses.ts"
import { routingCases } from "./http/routing.ts"
import { streamingCases } from "./http/streaming.ts"
import { tracingCases } from "./http/tracing.ts"

const topics: Record<string, (test: Case) => void> = {
  "request line": requestLineCases,
  headers: headerCases,
  "request bodies": bodyCases,
  responses: responseCases,
  "files and ranges": fileCases,
  multipart: multipartCases,
  streaming: streamingCases,
  failures: failureCases,
  "interruption and scopes": interruptionCases,
  "routing and client middleware": routingCases,
  HttpApi: apiCases,
  tracing: tracingCases
}

/**
 * Registers the HTTP semantics that every transport must keep. The client of the layer must reach the server of the
 * layer with relative URLs. `skip` maps the title of a case to why the transport can't express it.
 */
export const httpSemantics = (
  name: string,
  layer: Layer.Layer<Services, unknown>,
  options?: { readonly skip?: Readonly<Record<string, string>> }
): void => {
  const skip = new Map(Object.entries(options?.skip ?? {}))
  const titles = new Set<string>()

  const test: Case = (title, body) => {
    if (titles.has(title)) {
      throw new Error(`two cases are called "${title}"`)
    }
    titles.add(title)
    const reason = skip.get(title)
    if (reason !== undefined) {
      it(title, (context) => context.skip(reason))
      return
    }
    it.live(title, () => body.pipe(Effect.scoped, Effect.provide(layer)))
  }

  describe(name, () => {
    for (const [topic, register] of Object.entries(topics)) {
      describe(topic, () => register(test))
    }
  })

  it(`${name}: every skipped case exists`, () => {
    assert.deepStrictEqual(Array.from(skip.keys()).filter((title) => !titles.has(title)), [])
  })
}
