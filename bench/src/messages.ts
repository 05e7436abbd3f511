import type { Client } from "./peer.ts"
import type { Measured, Options } from "./scenario.ts"

/** The argument of a forked process, as JSON. */
export type Role =
  & { readonly cpuProfile: string | undefined }
  & (
    | { readonly side: "server" }
    | { readonly side: "client"; readonly port: number; readonly scenario: string; readonly options: Options }
  )

/** The argument of the process that delays. */
export interface Delay {
  readonly port: number
  readonly milliseconds: number
}

export type ToWorker = "begin" | "end"

/** What a process used within the window. */
export interface Usage {
  readonly seconds: number
  readonly cpu: number
  /** Bytes of memory more than before: at its peak since it was ready, and of what is left after a collection. */
  readonly peak: number
  readonly left: number
}

/** A client asks for "begin" and "end", which the driver passes on; the server answers with "began" and "usage". */
export type ToDriver =
  | { readonly type: "ready"; readonly port: number; readonly title: string }
  | { readonly type: "connected"; readonly operations: ReadonlyArray<keyof Client> }
  | { readonly type: "begin" }
  | { readonly type: "began" }
  | { readonly type: "end" }
  | { readonly type: "usage"; readonly usage: Usage }
  | { readonly type: "result"; readonly usage: Usage; readonly measured: Measured }
