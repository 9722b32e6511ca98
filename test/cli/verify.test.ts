/** verify: what its sentences tell to do works, and what it cannot read is told to programs, too. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { describe, expect, it } from 'vitest'
import { jsonLines, REPOSITORY, runCli } from '../support/cli.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { tamper } from '../support/databases.js'
import { everyEra } from '../support/every-era.js'
import { jsonFixture, sqliteFixture, writeFileAt } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 2))

describe('verify', () => {
  it('tells how to read what only a hidden copy has, where several stores are of its kind', () => {
    using shown = sqliteFixture('1.18')([{ ...SESSION, messages: SESSION.messages.slice(1) }])
    using hidden = sqliteFixture('1.18')([SESSION])
    tamper(hidden.path, (database) => database.exec(`VACUUM INTO '${join(shown.path, '..', 'opencode-dev.db')}'`))
    const data = ['--data', join(shown.path, '..')]
    const { stdout } = runCli(['verify', ...data])
    const [, advice = ''] = /1 message and \d+ parts of them only here: read them with (.+)$/m.exec(stdout) ?? []
    expect(advice).toMatch(/^--store \S+opencode-dev\.db$/)
    const { messages } = jsonLines(runCli(['show', SESSION.id, '--json', ...data, ...advice.split(' ')]))[0] as { messages: object[] }
    expect(messages).toHaveLength(SESSION.messages.length)
  })

  it('takes the database of another program for no damage, and names it', () => {
    using era = everyEra()
    const { status, stderr } = runCli(['verify', '--data', era.data])
    expect(stderr).toContain(era.stranger)
    expect(status).toBe(0)
    const json = runCli(['verify', '--json', '--data', era.data])
    const found = jsonLines(json)
    expect(found).toMatchObject([{ issues: [{ code: 'STORE_UNSUPPORTED', path: era.stranger, transient: false }], total: { damaged: 0 } }])
    expect(json.status).toBe(0)
    const validate = new Ajv({ allowUnionTypes: true }).compile(
      JSON.parse(readFileSync(`${REPOSITORY}docs/schemas/verify.schema.json`, 'utf8')) as object,
    )
    expect(validate(found[0]), JSON.stringify(validate.errors)).toBe(true)
  })

  it('names the agent and the session of every damaged record and of every orphan, as far as they are known', () => {
    using folder = tempFolder()
    using fixture = jsonFixture([SESSION])
    const [message] = SESSION.messages
    const files = {
      [`message/${SESSION.id}/${message?.id}.json`]: '{"role":"us',
      [`part/${message?.id}/${message?.parts[0]?.id}.json`]: '{"ty',
      'project/p1.json': '{',
      'part/msg_lost/prt_lost.json': '{',
      'part/msg_lost/prt_whole.json': '{"type":"text","text":"whole"}',
      'message/ses_gone/msg_whole.json': '{"role":"user","time":{"created":1}}',
    }
    for (const [name, text] of Object.entries(files)) writeFileAt(join(fixture.path, name), text, START)
    const log = join(folder.path, '--w--', '2026-03-01T10-00-00-000Z_s1.jsonl')
    const head = { type: 'session', version: 3, id: 's1', timestamp: '2026-03-01T10:00:00.000Z', cwd: '/w' }
    writeFileAt(log, `${JSON.stringify(head)}\n{"type":"mess\n`, START)
    const json = runCli(['verify', '--orphans', '--json', '--data', fixture.path, '--data', folder.path])
    const [found] = jsonLines(json) as [{ stores: { damaged: Named[]; orphanRecords: Named[] }[] }]
    const validate = new Ajv({ allowUnionTypes: true }).compile(
      JSON.parse(readFileSync(`${REPOSITORY}docs/schemas/verify.schema.json`, 'utf8')) as object,
    )
    expect(validate(found), JSON.stringify(validate.errors)).toBe(true)
    const named = (records: readonly Named[]): unknown[][] => records.map(({ kind, agent, session }) => [kind, agent, session])
    expect(named(found.stores.flatMap(({ damaged }) => damaged)).sort()).toEqual([
      ['message', 'opencode', SESSION.id],
      ['message', 'pi', 's1'],
      ['part', 'opencode', undefined],
      ['part', 'opencode', SESSION.id],
      ['project', undefined, undefined],
    ])
    expect(named(found.stores.flatMap(({ orphanRecords }) => orphanRecords)).sort()).toEqual([
      ['message', 'opencode', 'ses_gone'],
      ['part', 'opencode', undefined],
    ])
  })
})

interface Named {
  readonly kind: string
  readonly agent?: string
  readonly session?: string
}
