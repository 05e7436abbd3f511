/**
 * `createHub`: a hub that is given its upgrade requests.
 */
import * as Layer from "effect/Layer"
import { makeHub } from "./hub.ts"
import { makeService, serverOptions, surroundings } from "./hubService.ts"
import type { CreatedHub, CreateHub, HubOptions } from "./model.ts"
import { build, onAbort } from "./running.ts"

export const createHub: CreateHub = async <M = unknown, P = undefined>(
  options: HubOptions<M, P> = {}
): Promise<CreatedHub<M, P>> => {
  const service = makeService(options)
  const built = await build(
    Layer.provideMerge(service.layerNoRoute(serverOptions(options)), surroundings(options)),
    options.signal
  )
  // It does not know where it is reached.
  const hub = makeHub(built, service, () => "", () => {})
  onAbort(options.signal, hub.closed, () => void hub.close())
  return hub
}
