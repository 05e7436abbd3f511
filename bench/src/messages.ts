import type { Measured, Options } from "./scenario.ts"

/** The argument of a forked process, as JSON. */
export type Role =
  & { readonly cpuProfile: string | undefined }
  & (
    | { readonly side: "server" }
    | { readonly side: "client"; readonly port: number; readonly scenario: string; readonly options: Options }
  )

export type ToWorker = "begin" | "end"

/** A client asks for "begin" and "end", which the driver passes on; the server answers with "began" and "usage". */
export type ToDriver =
  | { readonly type: "ready"; readonly port: number; readonly title: string }
  | { readonly type: "begin" }
  | { readonly type: "began" }
  | { readonly type: "end" }
  | { readonly type: "usage"; readonly cpu: number }
  | ({ readonly type: "result"; readonly seconds: number; readonly cpu: number } & Measured)
