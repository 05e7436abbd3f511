/**
 * Suites and a fault proxy for those who write transports, peers, proxies or handlers of their own. They need Node's
 * modules, which Bun and Deno have too, and no test runner in particular.
 *
 * `SwaggerSocketTest` is for tests of an application: it joins a client and a server in memory.
 *
 * @since 0.1.0
 */
export * as Conformance from "./Conformance.ts"
export * as FaultProxy from "./FaultProxy.ts"
export * as HttpSemantics from "./HttpSemantics.ts"
export * as LinkConformance from "./LinkConformance.ts"
export type * as Runner from "./Runner.ts"
