/** `watch`: sessions as they come, change and go. */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { describe, expect, it } from 'vitest'
import { outputOf, REPOSITORY, runCli, startCli } from '../support/cli.js'
import { conversation, corpusSession, userMessage } from '../support/corpus.js'
import { jsonFixture, pretty, writeFileAt } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { piLogs } from '../support/watching.js'

const START = Date.parse('2026-03-01T10:00:00Z')

describe('watch', () => {
  it.each([[['--json']], [['--json', '--backend', 'poll', '--poll', '50']], [[]]])('tells of each change: %j', async (args) => {
    const session = corpusSession(START, conversation(START + 1, 2), { id: 'ses_0' })
    using fixture = jsonFixture([session])
    const child = startCli(['watch', '--data', fixture.path, ...args])
    const output = outputOf(child)
    const told = (kind: string, id: string): Promise<void> =>
      output.wrote(
        args.length === 0 ? new RegExp(`^\\d\\d:\\d\\d:\\d\\d {2}${kind} +${id} {2}`, 'm') : new RegExp(`"kind":"${kind}"[^}]*"session":"${id}"`),
      )
    try {
      if (args.length === 0) await output.said(/^watching 1 session; Ctrl-C stops$/m)
      // Without that line there is no telling when it began to watch: the change is made again until it is told.
      const message = userMessage(START + 500_000, ['new'])
      let place = 0
      const again = setInterval(
        () => fixture.write({ session: 'ses_0', message: `msg_new${place++}` }, JSON.stringify(message.data), Date.now()),
        200,
      )
      await told('changed', 'ses_0').finally(() => clearInterval(again))
      const path = join(fixture.path, 'session', 'global', 'ses_new.json')
      writeFileAt(
        path,
        pretty({ id: 'ses_new', title: 'Brand new', directory: '/a', version: '1', time: { created: START, updated: START } }),
        Date.now(),
      )
      await told('added', 'ses_new')
      rmSync(path)
      await told('removed', 'ses_new')
    } finally {
      child.kill('SIGINT')
    }
    expect((await output.ended).code).toBe(0)
    if (args.length === 0) return
    const validate = new Ajv({ allowUnionTypes: true }).compile(JSON.parse(readFileSync(`${REPOSITORY}docs/schemas/watch.schema.json`, 'utf8')))
    const events = output
      .stdout()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    for (const event of events) expect(validate(event), JSON.stringify(validate.errors)).toBe(true)
    const gone = events.find(({ kind }) => kind === 'removed')
    expect(gone).toMatchObject({ session: 'ses_new', title: 'Brand new', directory: '/a', messages: null })
    expect(events.map(({ generation }) => generation)).toEqual(events.map(({ generation }) => generation).sort((a, b) => a - b))
  })

  it.each([[[]], [['--json']]])('waits for the first store of the machine, and says so: %j', async (args) => {
    using home = tempFolder()
    const child = startCli(['watch', ...args], { HOME: home.path })
    const output = outputOf(child)
    try {
      await output.said(/^there is no store of a coding agent yet, waiting for one; Ctrl-C stops$/m)
      piLogs(join(home.path, '.pi', 'agent', 'sessions')).add('first')
      await output.wrote(args.length === 0 ? /added {4}pi {2}first {2}1 message/ : /"kind":"added"[^}]*"session":"first"/)
    } finally {
      child.kill('SIGINT')
    }
    expect((await output.ended).code).toBe(0)
  })

  it('refuses what is no way of watching', () => {
    expect(runCli(['watch', '--backend', 'magic']).status).toBe(2)
    expect(runCli(['watch', '--poll', '0']).status).toBe(2)
  })
})
