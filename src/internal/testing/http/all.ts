/**
 * All cases of the HTTP semantics, by topic.
 */
import { apiCases } from "./api.ts"
import { bodyCases } from "./bodies.ts"
import type { Case } from "./cases.ts"
import { failureCases } from "./failures.ts"
import { fileCases } from "./files.ts"
import { headerCases } from "./headers.ts"
import { interruptionCases } from "./interruption.ts"
import { multipartCases } from "./multipart.ts"
import { requestLineCases } from "./requestLine.ts"
import { responseCases } from "./responses.ts"
import { routingCases } from "./routing.ts"
import { streamingCases } from "./streaming.ts"
import { tracingCases } from "./tracing.ts"

export const topics: Readonly<Record<string, ReadonlyArray<Case>>> = {
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
