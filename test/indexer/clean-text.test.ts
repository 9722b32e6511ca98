import { describe, expect, it } from 'vitest'
import { cleanText } from '../../src/indexer/clean-text.js'

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

  it('takes time in proportion to the text, whatever the text', () => {
    const hard = [
      'A'.repeat(79).concat(' ').repeat(20_000),
      'a/'.repeat(500_000),
      `${'A'.repeat(60)}\n`.repeat(1).concat('x').repeat(15_000),
      'data:a/'.repeat(150_000),
      '\u001b]'.repeat(300_000),
    ]
    for (const text of hard) {
      const start = process.cpuUsage()
      cleanText(text)
      const { user } = process.cpuUsage(start)
      expect(user, text.slice(0, 10)).toBeLessThan(2_000_000)
    }
  })
})
