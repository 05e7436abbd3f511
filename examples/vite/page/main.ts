/**
 * A page that connects: it calls the hub, and serves it.
 */
import { connect } from "effect-swaggersocket/promise"
import { show } from "../show.ts"

const { fetch, on, serve } = await connect("/socket")

serve(() => new Response(document.title))

const response = await fetch("/api/way")
await show(await response.text())

on("status", (status) => void show(`status: ${status._tag}`))
