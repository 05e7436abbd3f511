/**
 * What the parts of the table have in common.
 */
import type { ClientPlay } from "../clientPlayer.ts"
import { all, completed, type Edit, http, isClose, nothingSpurious, without } from "../edits.ts"
import type { ServerPlay } from "../serverPlayer.ts"

/** Why an end is not played. */
type Excluded = string

export interface Case {
  /** Several are played to a server, or a client, each. */
  readonly server?: ServerPlay | ReadonlyArray<ServerPlay> | Excluded
  readonly client?: ClientPlay | ReadonlyArray<ClientPlay> | Excluded
}

export const complete = "server closing connection"

export const summarized = [
  "nothing comes that nobody sent, and the result has a close frame behind it",
  all(
    nothingSpurious,
    completed
  )
] as const

export const spurious = ["nothing comes that nobody sent", nothingSpurious] as const

export const json = (status: number, body: unknown, fields: Readonly<Record<string, string>> = {}): string =>
  http(status, { "content-type": "application/json", ...fields }, JSON.stringify(body))

export const notSaid: Edit = without((line) => isClose(line) && line.dir === "s2c")

/** What an application is told of a refusal that is not as it was declared. */
export const noJson = (status: number): RegExp => new RegExp(`^StatusCodeError: .*\\(${status} `)
