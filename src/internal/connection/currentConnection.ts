/**
 * The connection of the current request; `Connection.current` shows it to users.
 */
import * as Context from "effect/Context"
import type { Connection } from "../../Connection.ts"
import { currentKey } from "./typeId.ts"

/** @internal */
export const currentConnection: Context.Service<Connection, Connection> = Context.Service<Connection>(currentKey)
