/**
 * A scenario as data: what programs there are, what they do, and what goes wrong. A plan and its seed decide a run to the byte.
 * Times are in milliseconds since the beginning, sizes in bytes.
 */
import type * as Limits from "effect-swaggersocket/Limits"
import type { Conditions, Direction } from "./way.ts"

/** A body, as it is written: in pieces, with a pause before each. */
export interface Body {
  readonly size: number
  readonly piece: number
  readonly pause: number
  /** After so many bytes its stream fails. */
  readonly failsAt?: number
}

/** How a body is read. */
export interface Reading {
  /** Before each piece. */
  readonly pause: number
  /** After so many bytes no more is read. */
  readonly stopsAt?: number
}

/** What the handler of a call does once it has read the request. */
export interface Handling {
  readonly reading: Reading
  /** How long it takes. */
  readonly delay: number
  readonly ends: "answers" | "fails" | "dies" | "hangs"
  /** Whether it is interrupted when its caller is gone, as the handlers of a router are; else it runs to its end. */
  readonly isInterruptible: boolean
}

/** How an end of an upgrade goes about it, besides what it sends and how it reads. */
export interface UpgradeEnd {
  /** It sends nothing before the peer's direction has ended. */
  readonly answers: boolean
  /** When it has sent everything it is done, and reads no more. */
  readonly leaves: boolean
  /** How it breaks off where its body fails. */
  readonly breaks: "fails" | "dies" | "closes"
}

/**
 * What a call asks to be upgraded to. Its request is then what the caller sends behind the 101, its response what the handler
 * sends; a reader that stops goes on when nothing goes wrong any more.
 */
export interface Upgrade {
  readonly protocol: "bytes" | "websocket"
  readonly caller: UpgradeEnd
  readonly handler: UpgradeEnd
}

export interface Call {
  readonly at: number
  /** Which client it is of or to. */
  readonly client: number
  readonly from: "client" | "server"
  /** The client that a client calls through the server, which may be itself. Absent: it calls the server. */
  readonly to?: number
  readonly method: "GET" | "POST"
  readonly request: Body
  readonly handling: Handling
  readonly response: Body
  readonly reading: Reading
  /** Absent: it is an ordinary call. */
  readonly upgrade?: Upgrade
  /** The caller is interrupted after so long. */
  readonly patience?: number
}

/** What an effect of the application does that is run for a handshake: `authenticate` of the server, `metadata` of a client. */
export interface Effort {
  readonly delay: number
  readonly ends: "succeeds" | "fails" | "dies" | "hangs"
}

/** The number of a client, or the server. */
export type ProgramName = number | "server"

/** What happens besides calls. */
export type Event =
  & { readonly at: number }
  & (
    /** The newest link of a client breaks; which ends notice soon, by the direction that leads to them. */
    | { readonly _tag: "cut"; readonly client: number; readonly tells: ReadonlyArray<Direction> }
    | {
      readonly _tag: "stall"
      readonly client: number
      readonly directions: ReadonlyArray<Direction>
      readonly millis: number
    }
    /** No link comes about for so long. */
    | { readonly _tag: "block"; readonly how: "refused" | "silent"; readonly millis: number }
    /** The application asks its client to reconnect. */
    | { readonly _tag: "reconnect"; readonly client: number }
    /** A program ends, and another one begins after a while. */
    | {
      readonly _tag: "restart"
      readonly program: ProgramName
      /** It leaves in order; it is killed; or its machine loses power, so that nobody is told. */
      readonly how: "leaves" | "killed" | "power"
      readonly millis: number
    }
    /** The application of an end closes the newest connection of a client. */
    | { readonly _tag: "close"; readonly client: number; readonly by: "client" | "server"; readonly drain: boolean }
    /** The event loop of a program stands still. Its sockets go on. */
    | { readonly _tag: "freeze"; readonly program: ProgramName; readonly millis: number }
    /** Another program says for a while that it is this client, as a device that was copied. */
    | { readonly _tag: "double"; readonly client: number; readonly how: "leaves" | "power"; readonly millis: number }
    /** Another link brings the last hello of a client once more, with its token, and nothing else. */
    | { readonly _tag: "repeat"; readonly client: number; readonly millis: number }
  )

export interface Plan {
  /** Of all that the plan leaves open: what runs next, delays of the network, randomness of the programs. */
  readonly seed: number
  readonly wire: "v1" | "v2"
  readonly clients: number
  /** After so many steps a fiber lets others run. */
  readonly budget: number
  /** The share of steps that take a millisecond. */
  readonly slowness: number
  readonly conditions: Conditions
  readonly limits: { readonly client: Limits.Options; readonly server: Limits.Options }
  /** Bytes that the connections of the server may hold while they wait to be resumed, and altogether. Absent: as by default. */
  readonly quotas?: { readonly interruptedBytes: number; readonly memory: number }
  /** What becomes of a second connection of one client. */
  readonly onSameIdentity: "keep-both" | "replace-older" | "refuse-newer"
  readonly calls: ReadonlyArray<Call>
  readonly events: ReadonlyArray<Event>
  /** For one handshake after the other, of whichever client; those after them are accepted at once. */
  readonly authentications: ReadonlyArray<Effort>
  /** For one attempt after the other, of whichever client; in those after them the metadata is there at once. */
  readonly metadata: ReadonlyArray<Effort>
  /** When nothing goes wrong any more: what stalls moves, and who hangs goes on. */
  readonly end: number
}

/** Whether both ends know upgrades. Where one does not, a request for one is an ordinary one. */
export const mayUpgrade = ({ limits, wire }: Plan): boolean =>
  wire === "v2" && limits.client.upgrade !== 0 && limits.server.upgrade !== 0
