// A client of Actual's sync server, by its own protocol.
//   node actual_client.mjs PACKAGES setup STATE           bootstraps, logs in, uploads a budget file; STATE is written
//   node actual_client.mjs PACKAGES load STATE FIRST      changes without end, from number FIRST; prints each that was
//                                                         acknowledged; now and then the whole file is uploaded again
//   node actual_client.mjs PACKAGES check STATE ACKNOWLEDGED   exit 1 and a line for each finding
// PACKAGES is where node_modules is; the server is at port 5006 of this network namespace.
import { createRequire } from 'node:module';
import fs from 'node:fs';

const [packages, command, stateFile, argument] = process.argv.slice(2);
const { SyncProtoBuf, Timestamp } = createRequire(packages + '/node_modules/')('@actual-app/crdt');
const server = 'http://[::1]:5006';
const password = 'correct horse';
let calls = 0;

async function call(path, options = {}) {
  const answer = await fetch(server + path, {
    ...options,
    // The server lets each client ask 500 times a minute; here are many clients behind one proxy.
    headers: { 'x-forwarded-for': `10.9.${(calls >> 8) & 255}.${calls++ & 255}`, ...options.headers },
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${(await answer.text()).slice(0, 200)}`);
  return answer;
}
async function post(path, body, headers = {}) {
  const answer = await call(path, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });
  return (await answer.json()).data;
}
const budget = number => Buffer.alloc(100_000, `budget ${number};`);
const upload = (state, number) =>
  call('/sync/upload-user-file', {
    method: 'POST',
    body: budget(number),
    headers: {
      'content-type': 'application/encrypted-file',
      'x-actual-token': state.token,
      'x-actual-file-id': 'household',
      'x-actual-name': 'Household',
      'x-actual-format': '2',
      ...(state.group ? { 'x-actual-group-id': state.group } : {}),
    },
  });
const stamp = number => new Timestamp(1_600_000_000_000 + number, 0, '89abcdef01234567').toString();
const text = number => `change ${number} `.repeat(10);

async function sync(state, since, numbers) {
  const request = new SyncProtoBuf.SyncRequest();
  request.setFileid('household');
  request.setGroupid(state.group);
  request.setSince(since);
  for (const number of numbers) {
    const message = new SyncProtoBuf.MessageEnvelope();
    message.setTimestamp(stamp(number));
    message.setIsencrypted(false);
    message.setContent(Buffer.from(text(number)));
    request.addMessages(message);
  }
  const answer = await call('/sync/sync', {
    method: 'POST',
    body: request.serializeBinary(),
    headers: { 'content-type': 'application/actual-sync', 'x-actual-token': state.token },
  });
  return SyncProtoBuf.SyncResponse.deserializeBinary(new Uint8Array(await answer.arrayBuffer()));
}

async function setup() {
  await post('/account/bootstrap', { password });
  const { token } = await post('/account/login', { loginMethod: 'password', password });
  const { groupId } = await (await upload({ token }, 0)).json();
  fs.writeFileSync(stateFile, JSON.stringify({ token, group: groupId }));
}

async function load(state, first) {
  for (let number = first; ; ++number) {
    try {
      if (number % 50 === 49) await upload(state, number);
      await sync(state, stamp(number), [number]);
      fs.writeSync(1, `${number}\n`);
    } catch (error) {
      // What was not acknowledged may be there or not. A server that is gone ends the load.
      fs.writeSync(2, `${number}: ${error.message}\n`);
      if (!/: 5\d\d /.test(error.message)) return;
    }
  }
}

async function check(state, acknowledged) {
  const findings = [];
  const { token } = await post('/account/login', { loginMethod: 'password', password });
  const files = await (await call('/sync/list-user-files', { headers: { 'x-actual-token': token } })).json();
  if (files.data.length !== 1) findings.push(`${files.data.length} files instead of one`);
  const messages = (await sync({ ...state, token }, stamp(0), [])).getMessagesList();
  const contents = new Map(messages.map(m => [m.getTimestamp(), Buffer.from(m.getContent()).toString()]));
  const numbers = fs.readFileSync(acknowledged, 'utf8').split('\n').slice(0, -1).map(Number);
  const lost = numbers.filter(number => contents.get(stamp(number)) !== text(number));
  if (lost.length) findings.push(`${lost.length} of ${numbers.length} acknowledged changes are lost, the first is ${lost[0]}`);
  const file = await call('/sync/download-user-file', { headers: { 'x-actual-token': token, 'x-actual-file-id': 'household' } });
  const content = Buffer.from(await file.arrayBuffer());
  const number = /^budget (\d+);/.exec(content.toString('utf8', 0, 40))?.[1];
  if (number === undefined || !content.equals(budget(number))) findings.push('the uploaded file is damaged');
  const uploads = numbers.filter(n => n % 50 === 49);
  if (process.env.LAST_UPLOAD && uploads.length && Number(number) < uploads.at(-1)) findings.push(`an older file, of ${number}`);
  console.log(findings.join('\n'));
  process.exitCode = findings.length ? 1 : 0;
}

if (command === 'setup') await setup();
else {
  const state = JSON.parse(fs.readFileSync(stateFile, 'utf8'));
  if (command === 'load') await load(state, Number(argument));
  else await check(state, argument);
}
