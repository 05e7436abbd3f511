/**
 * Peers whose end that serves dials the one that calls, as devices behind NAT do. A client masks all that it sends, so they mask
 * their answers.
 */
import { once } from "node:events"
import { createServer, get } from "node:http"
import { listen } from "./node.ts"

/** Answers the port where the process that serves waits to be told where to dial. */
export const awaitCallers = (dial: (port: number) => Promise<void>): Promise<number> =>
  listen(createServer((request, response) => {
    void dial(Number(request.url!.slice(1))).then(() => response.end())
  }))

/** Tells the process that serves where this one listens. */
export const dialMe = async (port: number, own: number): Promise<void> => {
  const [response] = await once(get({ host: "127.0.0.1", port, path: `/${own}` }), "response")
  response.resume()
  await once(response, "end")
}
