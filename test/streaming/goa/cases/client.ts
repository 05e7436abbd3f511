/**
 * goa's client, with a program that tries it out.
 */
import { all, authorized, completed, isClose, sends, without } from "../edits.ts"
import { type Case, noJson } from "./shared.ts"

const tried = "the server is a program that tries goa's client out, and all that this sends is a request like others"

const authorizedOnly = ["the token is a true one", authorized] as const

const authorizedSummary = [
  "the token is a true one, and the result has a close frame behind it",
  all(
    authorized,
    without((line) => isClose(line)),
    completed
  )
] as const

const addedA = { message: "a", action: "added", added_at: "2026-01-01T00:00:00Z" }

export const client: Readonly<Record<string, Case>> = {
  "raw-goacli-echoer-400-json": {
    server: tried,
    client: { outcomes: { 1: { fails: noJson(400) } } }
  },
  "raw-goacli-echoer-401": { server: tried },
  "raw-goacli-echoer-403": { server: tried },
  "raw-goacli-echoer-500": { server: tried, client: { outcomes: { 1: { fails: /500/ } } } },
  "raw-goacli-echoer-ok-end": { server: { differs: authorizedOnly } },
  "raw-goacli-echoer-server-closes-1000": {
    server: tried,
    client: { differs: ["nothing is sent any more when the call is over", without(sends("\"two\""))] }
  },
  "raw-goacli-history-bad-date": { server: tried },
  "raw-goacli-history-close-1000": { server: tried },
  "raw-goacli-history-close-1001": { server: tried },
  "raw-goacli-history-extra-field-binary-opcode": {
    server: tried,
    client: { outcomes: { 1: { values: [{ message: "a", sent_at: "2026-01-01T00:00:00.123+02:00" }] } } }
  },
  "raw-goacli-history-goa-view-tiny": { server: tried },
  "raw-goacli-history-tiny-without-goa-view-header": { server: tried },
  "raw-goacli-login-200": { server: tried },
  "raw-goacli-login-201": { server: tried, client: { outcomes: { 1: { values: [], fails: /201/ } } } },
  "raw-goacli-login-401": { server: tried },
  "raw-goacli-subscribe-close-1005": { server: tried },
  "raw-goacli-subscribe-immediate-101-then-events": {
    server: tried,
    client: { outcomes: { 1: { values: [addedA], fails: /^SchemaError: Expected "added"/ } } }
  },
  "raw-goacli-subscribe-tcp-drop": { server: tried },
  "raw-goacli-summary-close-without-result": {
    server: tried,
    client: { outcomes: { 1: { fails: /the stream ended with 1000/ } } }
  },
  "raw-goacli-summary-empty-array": { server: { differs: authorizedSummary } },
  "raw-goacli-summary-result-no-close-frame": { server: { differs: authorizedSummary } },
  "raw-goacli-summary-result-then-close-1000": { server: { differs: authorizedSummary } }
}
