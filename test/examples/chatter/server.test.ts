/**
 * The program of the chatter service: how it is started, what it serves besides the streams, and how it stops.
 */
import { assert, describe, it } from "@effect/vitest"
import { once } from "node:events"
import * as fs from "node:fs"
import { newDatabase, runToEnd, serve } from "./programs.ts"

describe("chatter service", { timeout: 120_000 }, () => {
  it.concurrent("streams that are open when the service stops get a close frame", async () => {
    const server = await serve()
    const webSockets = ["subscribe", "echoer", "summary"].map((endpoint) => server.open(endpoint))
    await Promise.all(webSockets.map((webSocket) => once(webSocket, "open")))
    const closed = webSockets.map((webSocket) => once(webSocket, "close"))
    const { code, stderr } = await server.stop("SIGINT")
    assert.deepStrictEqual([code, stderr], [0, ""])
    for (const [code] of await Promise.all(closed)) assert.strictEqual(code, 1001)
  })

  it.concurrent("the service describes itself as JSON and as pages", async () => {
    const { url } = await serve()
    const [openapi, docs, scalar] = await Promise.all(
      ["openapi.json", "docs", "scalar"].map((path) => fetch(`${url}/${path}`))
    )
    assert.match(openapi!.headers.get("content-type")!, /^application\/json/)
    const document = await openapi!.json() as { readonly paths: Record<string, any> }
    assert.hasAllKeys(document.paths, ["/login", "/echoer", "/listener", "/summary", "/subscribe", "/history"])
    const { history, subscribe } = {
      history: document.paths["/history"].get,
      subscribe: document.paths["/subscribe"].get
    }
    assert.deepStrictEqual(history.parameters[0].schema.enum, ["default", "tiny"])
    assert.property(subscribe.responses["200"].content, "text/event-stream")
    assert.hasAllKeys(subscribe.responses, ["200", "400", "401", "403"])
    assert.deepStrictEqual(subscribe.security, [{ jwt: [] }])
    for (const page of [docs!, scalar!]) {
      assert.strictEqual(page.status, 200)
      assert.match(page.headers.get("content-type")!, /^text\/html/)
      const text = await page.text()
      assert.include(text, "Chatter service")
      assert.notMatch(text, /<script[^>]+src=/, "the page needs another server")
    }
  })

  it.concurrent("the service says in a line why it can't start", async () => {
    const { url } = await serve()
    const database = newDatabase()
    fs.writeFileSync(database, "not a database, but long enough to look like a header of one".repeat(100))
    const port = await runToEnd("main", ["--port", new URL(url).port])
    const notADatabase = await runToEnd("main", ["--port", "0", "--database", database])
    const noFolder = await runToEnd("main", ["--port", "0", "--database", `${database}.d/chatter.db`])
    const usage = await runToEnd("main", ["--port", "65536"])
    assert.match(port.stderr, /^chatter: listen EADDRINUSE.*\n$/)
    assert.match(notADatabase.stderr, /^chatter: file is not a database\n$/)
    assert.match(noFolder.stderr, /^chatter: .*unable to open.*\n$/i)
    assert.match(usage.stderr, /--port.*65536/)
    for (const { code, stdout } of [port, notADatabase, noFolder, usage]) {
      assert.deepStrictEqual([code, stdout], [1, ""])
    }
  })

  it.concurrent("the service prints help", async () => {
    const { code, stderr, stdout } = await runToEnd("main", ["--help"], { fromSource: true })
    for (const flag of ["--port", "--host", "--database"]) assert.include(stdout, flag)
    assert.deepStrictEqual([code, stderr], [0, ""])
  })
})
