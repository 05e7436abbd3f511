/**
 * goa with goa.
 */
import { all, answered, behind, closed, without } from "../edits.ts"
import type { ServerPlay } from "../serverPlayer.ts"
import { type Case, complete, json, notSaid, spurious, summarized } from "./shared.ts"

/** goa's client hangs up when it has said that it is done: it waits for the answer, or it does not. */
const patientOrNot = (differs?: ServerPlay["differs"]): ReadonlyArray<ServerPlay> => {
  const play: ServerPlay = differs === undefined ? {} : { differs }
  return [play, { ...play, leaves: true }]
}

const recordedHistory: ServerPlay = { stored: ["hello", "say my name", ""] }

const toNobody = "a client that is gone is told nothing"

export const between: Readonly<Record<string, Case>> = {
  "goa-echoer": { server: patientOrNot() },
  "goa-echoer-with-spurious-empty-echo": { server: patientOrNot(spurious) },
  "goa-history-default": { server: recordedHistory },
  "goa-history-empty": {
    server: {
      differs: [
        "a history without messages is a stream that ends at once",
        all(
          answered(/./, "HTTP/1.1 101 -\r\ngoa-view: default\r\n\r\n"),
          behind((line) => line.type === "response", ...closed(1000, complete))
        )
      ]
    },
    // The 200 is a stream without messages.
    client: { outcomes: { 1: { values: [] } } }
  },
  "goa-history-no-view-param": { server: recordedHistory },
  "goa-history-tiny": { server: recordedHistory },
  "goa-history-view-bogus": {
    server: {
      ...recordedHistory,
      differs: [
        "there is no such view",
        all(
          answered(/./, json(400, { _tag: "UnknownView", view: "bogus", views: ["default", "tiny"] })),
          without((line) => line.type === "message" || line.type === "control")
        )
      ]
    },
    client: "nothing is sent: the types of our client, and the schema of the query, have no such view"
  },
  "goa-invalid-token": {},
  "goa-invalid-token-bearer": {},
  "goa-listener": { server: patientOrNot() },
  "goa-login-bad": {},
  "goa-login-baduser": {},
  "goa-login-ok": {},
  "goa-missing-scope": {},
  "goa-no-authorization": {},
  "goa-no-scopes-claim": {},
  "goa-subscribe": { server: { differs: [toNobody, notSaid] } },
  "goa-summary": { server: { differs: summarized } },
  "goa-summary-no-input-thousands-of-spurious-entries": { server: patientOrNot(summarized) },
  "goa-summary-with-spurious-empty-entry": { server: { differs: summarized } }
}
