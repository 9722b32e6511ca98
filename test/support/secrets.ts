/** Secrets as people paste them, made up. They are put together here, so that no scanner takes this file for a leak. */

const word = (length: number, seed = 7, letters = 'abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789'): string =>
  Array.from({ length }, (_, i) => letters.charAt((i * i * 31 + i * 17 + seed * 13) % letters.length)).join('')
const lower = 'abcdefghijkmnopqrstuvwxyz'
const hex = '0123456789abcdef'
const upper32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

const pem = (kind: string, lines = 12): string =>
  [`-----BEGIN ${kind}-----`, ...Array.from({ length: lines }, (_, i) => word(64, i)), `${word(22)}==`, `-----END ${kind}-----`].join('\n')

/** By kind: a text, and the part of it that must not be left. */
export const SECRETS: Readonly<Record<string, { readonly text: string; readonly secret: string }>> = Object.fromEntries(
  Object.entries({
    'a private key (RSA)': pem('RSA PRIVATE KEY'),
    'a private key (PKCS 8)': pem('PRIVATE KEY'),
    'a private key (OpenSSH)': pem('OPENSSH PRIVATE KEY', 5),
    'a private key (EC)': pem('EC PRIVATE KEY', 2),
    'a private key (PGP)': pem('PGP PRIVATE KEY BLOCK', 40),
    'a long private key': pem('RSA PRIVATE KEY', 400),
    'an AWS key id': `AKIA${word(16, 3, upper32)}`,
    'an AWS secret key': ['aws_secret_access_key = ', word(40)],
    'an AWS secret key in quotes': ['AWS_SECRET_ACCESS_KEY="', `${word(19)}/${word(20)}`, '"'],
    'an AWS secret key in JSON': ['"SecretAccessKey": "', `${word(20)}+${word(19)}`, '"'],
    'a GitHub token': `ghp_${word(36)}`,
    'a GitHub app token': `ghs_${word(36)}`,
    'a fine-grained GitHub token': `github_pat_${word(22)}_${word(59)}`,
    'a GitLab token': `glpat-${word(20)}`,
    'a Slack bot token': `xoxb-${word(12, 2, '123456789')}-${word(13, 4, '123456789')}-${word(24)}`,
    'a Slack app token': `xapp-1-${word(11, 2, upper32)}-${word(13, 1, '123456789')}-${word(64, 3, hex)}`,
    'a Slack hook': `https://hooks.slack.com/services/T${word(8, 1, upper32)}/B${word(8, 2, upper32)}/${word(24)}`,
    'an npm token': `npm_${word(36)}`,
    'an npm token of old': [
      '//registry.npmjs.org/:_authToken=',
      `${word(8, 1, hex)}-${word(4, 2, hex)}-4${word(3, 1, hex)}-8${word(3, 3, hex)}-${word(12, 5, hex)}`,
    ],
    'an OpenAI key': `sk-${word(20)}T3BlbkFJ${word(20)}`,
    'an OpenAI project key': `sk-proj-${word(74)}T3BlbkFJ${word(74)}`,
    'another OpenAI key': `sk-svcacct-${word(40)}`,
    'an Anthropic key': `sk-ant-api03-${word(93)}AA`,
    'an Anthropic login': `sk-ant-oat01-${word(80)}`,
    'an OpenRouter key': `sk-or-v1-${word(64, 2, hex)}`,
    'a JWT': `eyJ${word(30)}.eyJ${word(60)}.${word(43)}`,
    'a bearer': ['Authorization: Bearer ', word(32, 2, hex)],
    'basic authorization': ['Authorization: Basic ', Buffer.from('dev:hunter2hunter2').toString('base64')],
    'a password in a URL': ['https://deploy:', `${word(12)}9`, '@git.company.test/repo.git'],
    'a password in a database URL': ['postgres://app:', `${word(14)}9`, '@db.company.test:5432/app'],
    'a password without a user': ['redis://:', `${word(16)}9`, '@cache.company.test:6379'],
    'a Google key': `AIza${word(35)}`,
    'a Stripe key': `sk_live_${word(24)}`,
    'a Hugging Face token': `hf_${word(34, 2, `${lower}ABCDEF`)}`,
    'a SendGrid key': `SG.${word(22)}.${word(43)}`,
    'a line of .env': ['STRIPE_WEBHOOK_SECRET=', `whsec${word(24)}7`],
    'a password of .env': ['DB_PASSWORD="', `${word(10)}!7x`, '"'],
    'a key in JSON': ['"apiKey": "', word(32, 4, hex), '"'],
    'a password in JSON in JSON': ['{\\"db_password\\":\\"', `${word(12)}!9`, '\\"}'],
    'a refresh token in JSON': ["'refresh_token': '", `${word(30)}7`, "'"],
    'a Groq key': `gsk_${word(52)}`,
    'an xAI key': `xai-${word(80)}`,
    'a Google client secret': `GOCSPX-${word(28)}`,
    'a Google login': `ya29.${word(120)}`,
    'a DigitalOcean token': `dop_v1_${word(64, 2, hex)}`,
    'an Azure storage key': ['AccountKey=', `${word(86)}==`],
    'a short name of .env': ['export TOKEN=', `${word(20)}7`],
  }).map(([kind, given]) => {
    if (typeof given === 'string') return [kind, { text: given, secret: given }]
    return [kind, { text: given.join(''), secret: given[1] ?? '' }]
  }),
)
