/** A whole process: node log-process.mjs COMMAND [ARGUMENT...]; prints its milliseconds and how many sessions its output names. */
import { spawnSync } from 'node:child_process'

const [command, ...given] = process.argv.slice(2)
const started = performance.now()
const run = spawnSync(command, given, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 2 ** 28 })
const ms = performance.now() - started
if (run.status !== 0) throw new Error(`${command} ended with ${run.status ?? run.signal}`)
const { sessions } = JSON.parse(run.stdout)
console.log(JSON.stringify({ ms, sessions: Array.isArray(sessions) ? sessions.length : sessions }))
