/**
 * What all hubs are made of, wherever they accept connections.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as Handshake from "../Handshake.ts"
import * as Quotas from "../Quotas.ts"
import * as SwaggerSocketServer from "../SwaggerSocketServer.ts"
import type { HubOptions } from "./model.ts"
import { environment } from "./running.ts"

/** The service of a hub: a type alone. */
export interface HubService {
  readonly _: unique symbol
}

export type Service<M, P> = SwaggerSocketServer.ServiceClass<HubService, string, M, P>

export const makeService = <M, P>({ schema }: HubOptions<M, P>): Service<M, P> =>
  SwaggerSocketServer.Service<HubService, P>()(
    "effect-swaggersocket/promise/Hub",
    schema && { metadata: schema as Schema.ConstraintCodec<M, unknown, never, never> }
  ) as unknown as Service<M, P>

/** What holds for all of a hub. */
export const surroundings = <M, P>(options: HubOptions<M, P>) =>
  Layer.provideMerge(
    Layer.effect(Quotas.Quotas, Effect.map(Quotas.Quotas, (base) => Quotas.make(options.quotas, base))),
    environment(options)
  )

export const serverOptions = <M, P>(options: HubOptions<M, P>): SwaggerSocketServer.Options<M, P, never> => {
  const { authenticate } = options
  const given: SwaggerSocketServer.Authenticate<M, P> | undefined = authenticate &&
    (({ headers, metadata, remoteAddress, url }) =>
      Effect.tryPromise({
        try: async (signal) =>
          authenticate({ headers, metadata, url, remoteAddress: Option.getOrUndefined(remoteAddress), signal }),
        catch: (cause) => cause
      }).pipe(
        Effect.catch((cause) => cause instanceof Handshake.Refusal ? Effect.fail(cause) : Effect.die(cause))
      ))
  const { addressOf, hosts, identity, isSamePrincipal, onSameIdentity, origins, principalOf, wires } = options
  return {
    addressOf,
    hosts,
    identity,
    isSamePrincipal,
    onSameIdentity,
    origins,
    principalOf,
    wires,
    authenticate: given
  } as SwaggerSocketServer.Options<M, P, never>
}
