/**
 * What the programs and the documentation use of the runtimes, as far as they use it.
 */
declare const Deno: {
  serve(
    options: { hostname?: string; port?: number; onListen?: () => void },
    handler: (
      request: Request,
      info: { remoteAddr: { transport: "tcp"; hostname: string; port: number } }
    ) => Response | Promise<Response>
  ): { addr: { port: number }; shutdown(): Promise<void> }
  exit(code: number): never
}

declare const Bun: {
  serve(options: {
    hostname?: string
    port?: number
    fetch: (
      request: Request,
      server: {
        upgrade(request: Request, options?: object): boolean
        requestIP(request: Request): { address: string } | null
      }
    ) => Response | undefined | Promise<Response | undefined>
    websocket: object
  }): { port: number; stop(): Promise<void> }
}

declare module "cloudflare:workers" {
  export abstract class DurableObject<Env = unknown> {
    constructor(ctx: { abort(reason?: string): void }, env: Env)
    protected ctx: { abort(reason?: string): void }
    protected env: Env
  }
}
