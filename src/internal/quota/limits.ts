/**
 * Limits of single connections that are told of as quotas are: in a metric, as events and in the log.
 */

/** A limit by its name in the options of `Limits`; the last two are always the same. @internal */
export type LimitName =
  | "controlPerSecond"
  | "maxQueuedControl"
  | "maxUnsentBytes"
  | "messageTimeout"
  | "refusedPerSecond"
  | "resetsPerSecond"
  | "sendTimeout"
  | "emptyDataPerSecond"
  | "goAwaysPerSecond"

/** A connection that has used up one of its limits. @internal */
export interface LimitedConnection {
  readonly kind: "connection"
  readonly connectionId: string
  readonly address: string | undefined
}
