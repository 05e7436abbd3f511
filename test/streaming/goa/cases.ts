/**
 * What is played: for each transcript the client's side, to our server, and the server's side, to our client. Nothing is
 * said of what goes as it went with goa.
 */
import { between } from "./cases/between.ts"
import { client } from "./cases/client.ts"
import { server } from "./cases/server.ts"
import type { Case } from "./cases/shared.ts"

export const cases: Readonly<Record<string, Case>> = { ...between, ...server, ...client }
