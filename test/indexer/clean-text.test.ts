import { describe, expect, it } from 'vitest'
import { cleanText } from '../../src/indexer/text/clean-text.js'

const BYTES = Buffer.from(Array.from({ length: 600 }, (_, i) => (i * 167 + (i >> 3) * 31) % 256))
const BASE64 = BYTES.toString('base64')

describe('clean text', () => {
  it.each([
    ['a data URL', `src="data:image/png;base64,${BASE64}" alt`, 'src="" alt'],
    ['a data URL with parameters', `(data:text/plain;charset=utf-8;base64,${BASE64})`, '()'],
    ['a data URL that is not base64', 'url(data:text/html,%3Ch1%3EHi%3C%2Fh1%3E) end', 'url() end'],
    ['base64', `before ${BASE64} after`, 'before  after'],
    ['base64 for URLs', `token=${BYTES.toString('base64url')};`, 'token=;'],
    ['base64 of one byte', `x ${Buffer.alloc(200).toString('base64')} y`, 'x  y'],
    ['long hex', `x ${BYTES.toString('hex')} y`, 'x  y'],
    [
      'base64 in lines',
      `-----BEGIN KEY-----\n${BASE64.match(/.{1,64}/g)?.join('\n')}\n-----END KEY-----`,
      '-----BEGIN KEY-----\n\n-----END KEY-----',
    ],
    ['base64 in escaped lines', `"${BASE64.match(/.{1,76}/g)?.join('\\n')}"`, '""'],
    [
      'base64 in lines before prose',
      `${BASE64.slice(0, 640)
        .match(/.{1,64}/g)
        ?.join('\n')}\nThe next sentence`,
      'The next sentence',
    ],
    ['colours of a terminal', '\u001b[1;31mred\u001b[0m and \u001b]8;;http://x\u0007link\u001b]8;;\u0007', 'red and link'],
    ['control characters', 'a\u0000b\u0008c\u007fd\te', 'abcd\te'],
    ['carriage returns', 'a\r\nb\rc', 'a\nb\nc'],
    ['a lone surrogate', 'a\ud800b\udc00\ud83c\udf89', 'a\ufffdb\ufffd\u{1f389}'],
  ])('is without %s', (_, text, expected) => {
    expect(cleanText(text)).toBe(expected)
  })

  it.each([
    'a commit 4b825dc642cb6eb9a060e54bf8d69288fbee4904 and sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    '/home/somebody/projects/some-application/packages/backend/src/main/java/com/example/application/services/InvoiceServiceFactoryBean',
    '/var/lib/containers/storage/overlay/3f29a6bd51a14f0c8e6f1d2a9b7c4e5f/merged/usr/local/share/applications/and/some/more/of/it',
    `${'x'.repeat(200)} ${'-'.repeat(200)}\n${'='.repeat(200)}\n${'_'.repeat(200)}`,
    'a_very_long_name_of_a_test_that_says_what_it_expects_when_the_lease_of_a_session_has_expired_and_another_process_took_over',
    'metadata: x, data: y, {"data":"z"}, data:, the data:image/png type',
    `${'some ordinary words in lines of ordinary length, which are no base64\n'.repeat(5)}`,
    'emoji 👩‍👩‍👧‍👦 and 日本語のテキスト',
  ])('keeps what is for reading: %s', (text) => {
    expect(cleanText(text)).toBe(text)
  })

  const LENGTH = 20 * 2 ** 20
  const manyBytes = Buffer.from(Uint8Array.from({ length: (LENGTH / 4) * 3 }, (_, i) => (Math.imul(i, 0x9e3779b1) >>> 13) & 0xff))
  const base64 = (length: number): string => manyBytes.toString('base64').slice(0, length)
  const ruler = 'x'.repeat(LENGTH)

  it.each([
    ['base64', () => `before ${base64(LENGTH)} after`, 'before  after'],
    ['base64 with padding', () => `before ${base64(LENGTH)}== after`, 'before  after'],
    ['a data URL', () => `before data:image/png;base64,${base64(LENGTH)} after`, 'before  after'],
    ['hex', () => `before ${manyBytes.toString('hex')} after`, 'before  after'],
    ['zero bytes', () => `before ${'A'.repeat(LENGTH)}= after`, 'before  after'],
    ['base64 in lines', () => `before ${base64(LENGTH).replace(/.{76}/g, '$&\n')} after`, 'before  after'],
    ['base64 in escaped lines', () => `before ${base64(LENGTH - 10).replace(/.{64}/g, '$&\\r\\n')} after`, 'before  after'],
  ])('is without 20 MB of %s', (_, text, expected) => {
    expect(cleanText(text())).toBe(expected)
  })

  it.each([
    ['one letter', () => ruler],
    ['spaces', () => ' '.repeat(LENGTH)],
    ['a line and spaces', () => `${base64(64)}${' '.repeat(LENGTH)}`],
    ['a long path', () => '/some/folder'.repeat(LENGTH / 12)],
    ['lines of one letter', () => `${'x'.repeat(76)}\n`.repeat(LENGTH / 77)],
    ['short runs', () => `${'a'.repeat(79)}-`.repeat(LENGTH / 80)],
  ])('keeps 20 MB of %s', (_, text) => {
    expect(cleanText(text()) === text()).toBe(true)
  })

  it('takes time in proportion to the text, whatever the text', { timeout: 300_000 }, () => {
    const hard: readonly ((size: number) => string)[] = [
      (size) =>
        'A'
          .repeat(79)
          .concat(' ')
          .repeat(size / 80),
      (size) => 'a/'.repeat(size / 2),
      (size) => 'A'.repeat(60).concat('\n').concat('x'.repeat(size)),
      (size) => 'data:a/'.repeat(size / 7),
      (size) => `data:${';a'.repeat(size / 2)}`,
      (size) => '\u001b]'.repeat(size / 2),
      (size) => '\u001b[0;0;'.repeat(size / 6),
      (size) => `${'B'.repeat(64)} ${' \t'.repeat(20)}`.repeat(size / 105),
      (size) => `${'B'.repeat(64)}\\n${' '.repeat(60)}-`.repeat(size / 127),
    ]
    for (const text of hard) expect(nanosecondsPerCharacter(text(10_000_000)), text(20)).toBeLessThan(1000)
  })
})

/** CPU time, which other processes do not lengthen. Work that grows with the square takes a thousand times as long at this size. */
function nanosecondsPerCharacter(text: string): number {
  const start = process.cpuUsage()
  cleanText(text)
  return (process.cpuUsage(start).user * 1000) / text.length
}
