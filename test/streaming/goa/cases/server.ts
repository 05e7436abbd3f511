/**
 * goa's server, with a program that tries it out.
 */
import {
  all,
  answered,
  answeredAtOnce,
  behind,
  closed,
  type Edit,
  endsAt,
  http,
  sends,
  textOf,
  token,
  unasked,
  without
} from "../edits.ts"
import type { Line } from "../transcript.ts"
import { type Case, json, noJson, notSaid, spurious, summarized } from "./shared.ts"

/** What `echoer` does not take. */
const refused = (text: string, what: string): Case => ({
  server: {
    stores: [],
    differs: [
      "a message that is no string, and no other, is an error",
      endsAt(sends(text), ...closed(4400, JSON.stringify({ _tag: "BadPayload", message: what })))
    ]
  },
  client: "nothing that our client would send: its messages are strings, one at a time"
})

const events = (messages: ReadonlyArray<string>): ReadonlyArray<Line> =>
  messages.map((message): Line => ({
    type: "message",
    conn: 1,
    dir: "s2c",
    opcode: "text",
    data: Buffer.from(`${JSON.stringify({ message, action: "added", added_at: "2026-11-21T19:49:33Z" })}\n`),
    frames: undefined
  }))

const eachEvent: Edit = (lines) => [
  ...lines.filter((line) => line.type !== "message" || line.dir === "c2s"),
  ...events(lines.flatMap((line) => line.type === "message" && line.dir === "c2s" ? [JSON.parse(textOf(line)!)] : []))
]

const oldVersion = /Sec-WebSocket-Version: 12/

const summary = JSON.stringify({ message: "m", length: 1, sent_at: "2026-11-21T19:49:22Z" })

const lastAnswered = (text: string): Edit => (lines) => {
  const last = lines.findLastIndex((line) => line.type === "response")
  return lines.map((line, index) => line.type === "response" && index === last ? { ...line, text } : line)
}

const garbage = "garbage from subscriber"

export const server: Readonly<Record<string, Case>> = {
  "raw-goa-auth-forms": {
    server: {
      differs: [
        "scopes that are no strings are refused, and don't end the connection without an answer",
        answered(/EbMtrQ/, json(403, "invalid scopes in token", { "goa-error": "invalid-scopes" }))
      ]
    }
  },
  "raw-goa-echoer-client-close-1000": {},
  "raw-goa-echoer-client-close-1001": {},
  "raw-goa-echoer-client-close-4000": {},
  "raw-goa-echoer-client-close-undefined": {},
  "raw-goa-echoer-escapes": {
    server: {
      differs: [
        "half a surrogate pair stays what it is",
        (lines) =>
          lines.map((line) =>
            line.type === "message" && line.dir === "s2c" && textOf(line)!.includes("lone")
              ? { ...line, data: Buffer.from("\"\\ud800 lone\"\n") }
              : line
          )
      ]
    }
  },
  "raw-goa-echoer-fragmented": {},
  "raw-goa-echoer-large": {
    server: {
      stores: [],
      differs: [
        "a message may have 1 MiB",
        endsAt((line) => line.type === "message" && line.dir === "c2s", ...closed(1009))
      ]
    },
    client: [
      { options: { maxMessageSize: 2 * 1024 * 1024 } },
      { outcomes: { 1: { values: [], fails: /1006: Max payload size exceeded/, code: 1009 } } }
    ]
  },
  "raw-goa-echoer-null-end": { server: { differs: spurious } },
  "raw-goa-echoer-ping": {},
  "raw-goa-echoer-send-binary": {},
  "raw-goa-echoer-send-empty": refused("", "Expected a valid JSON line"),
  "raw-goa-echoer-send-garbage": refused("hello", "Expected a valid JSON line"),
  "raw-goa-echoer-send-number": refused("123", "Expected string"),
  "raw-goa-echoer-send-object": refused("{\"a\":1}", "Expected string"),
  "raw-goa-echoer-send-two-values": refused("\"a\" \"b\"", "Expected a valid JSON line"),
  "raw-goa-echoer-send-ws-pretty": {},
  "raw-goa-echoer-tcp-drop": {},
  "raw-goa-history-client-close-midway": {},
  "raw-goa-login-forms": {
    server: {
      differs: [
        "the answers are JSON whatever is accepted, HEAD is as GET, a slash at the end is none, and 404 and 405 are 404 without a body",
        all(
          answered(/accept: (application\/xml|text\/plain)/i, json(200, token)),
          answered(
            /accept: text\/html/i,
            json(401, "invalid username and password combination", {
              "goa-error": "unauthorized"
            })
          ),
          answered(/^(GET \/login|GET \/nope|POST \/echoer) /, http(404)),
          answered(/^POST \/login\/ /, json(200, token)),
          answered(/^HEAD /, http(200, { "content-type": "text/event-stream" }))
        )
      ]
    },
    client: {
      differs: ["our client knows no other calls", unasked(/^(GET|HEAD|POST \/echoer|POST \/login\/)/)],
      // By request: these are not JSON.
      outcomes: {
        109: { values: [], fails: /^SchemaError: / },
        110: { values: [], fails: /^SchemaError: / },
        111: { values: [], fails: noJson(401) }
      }
    }
  },
  "raw-goa-non-upgrade-get": {
    server: [
      {
        differs: [
          "HTTP without an upgrade is answered 426, or with the stream where only the server streams",
          all(
            unasked(oldVersion),
            answered(/^GET \/(echoer|listener|summary) [^]*keep-alive/, http(426)),
            answered(/^GET \/history /, http(200, { "content-type": "text/event-stream" })),
            lastAnswered(http(200, { "content-type": "text/event-stream" }, `data: ${summary}\n\n`))
          )
        ]
      },
      {
        differs: [
          "another version of WebSockets ends the connection, and the answer is no JSON",
          all(
            unasked(/keep-alive/),
            without(({ conn }) => conn === 2),
            answered(
              oldVersion,
              http(400, { "content-type": "text/html" }, "Missing or invalid Sec-WebSocket-Version header")
            )
          )
        ]
      }
    ],
    client: {
      differs: ["our client always asks for an upgrade, and for version 13", unasked(oldVersion)],
      outcomes: {
        1: { values: [], fails: noJson(400) },
        102: { values: [], fails: noJson(400) },
        103: { values: [], fails: noJson(400) },
        104: { values: [] },
        105: { values: [], fails: noJson(400) }
      }
    }
  },
  "raw-goa-origin-and-subprotocol": {
    server: {
      differs: [
        "the answer to pages of other sites is no text, and a subprotocol that is offered is selected",
        all(
          answered(/evil/, http(403)),
          answered(/Sec-WebSocket-Protocol: chat/, "HTTP/1.1 101 -\r\nSec-WebSocket-Protocol: chat\r\n\r\n")
        )
      ]
    },
    client: { outcomes: { 1: { values: [], fails: noJson(403) } } }
  },
  "raw-goa-server-sigterm": {
    server: {
      differs: ["a server that stops says so", (lines) => [
        ...lines.filter((line) => line.type !== "tcp"),
        { type: "stops", conn: 1, dir: "none" },
        ...closed(1001),
        ...lines.filter((line) => line.type === "tcp")
      ]]
    }
  },
  "raw-goa-subscribe-burst-loses-events": {
    server: {
      differs: [
        "each event is reported, and a subscriber knows at once that it will be",
        all(
          answeredAtOnce,
          eachEvent,
          notSaid
        )
      ]
    }
  },
  "raw-goa-subscribe-cli-45s": { server: { differs: ["the upgrade is answered at once", answeredAtOnce] } },
  "raw-goa-subscribe-leave-before-upgrade": {
    server: { differs: ["the upgrade is answered at once", answeredAtOnce] }
  },
  "raw-goa-subscribe-no-pong": {
    server: {
      differs: [
        "who answers no ping for 6 seconds is told so, and is not told that it is over",
        all(
          answeredAtOnce,
          (lines) => {
            let pings = 0
            return lines.filter((line) => line.type !== "control" || (line.opcode === "ping" && ++pings === 1))
          },
          behind(
            (line) => line.type === "control" && line.opcode === "ping",
            { type: "passes", conn: 1, dir: "none", millis: 6000 },
            ...closed(4408, "no pong")
          )
        )
      ]
    }
  },
  "raw-goa-subscribe-upgrade-delay": {
    server: [
      {
        differs: [
          "a message that was sent before is an event as well, and a subscriber knows at once that it will be told",
          all(
            answeredAtOnce,
            without(sends(garbage)),
            (lines) =>
              lines.flatMap((line, index) =>
                sends("\"ev1\"")(line) && lines.findIndex(sends("\"ev1\"")) < index
                  ? [line, ...events(["ev1"])]
                  : [line]
              )
          )
        ]
      },
      {
        differs: [
          "a message to an endpoint that takes none is an error",
          all(
            answeredAtOnce,
            (lines) =>
              lines.filter((line, index) =>
                line.type !== "message" || line.conn !== 2 || lines.findIndex(sends("\"ev1\"")) >= index ||
                textOf(line) !== "\"ev1\""
              ),
            endsAt(sends(garbage), ...closed(1008, "this endpoint takes no messages"))
          )
        ]
      }
    ],
    client: {
      differs: ["our client sends nothing to an endpoint that takes nothing", without(sends(garbage))]
    }
  },
  "raw-goa-summary-client-close-1000": {},
  "raw-goa-summary-null-x10": { server: { differs: summarized } }
}
