// Two independent MLLP listeners, @medplum/hl7 and simple-hl7, on ports given as arguments.
// Each received message is printed as one JSON line, so that a test counts what arrived.
import { Hl7Server } from '@medplum/hl7';
import { createRequire } from 'node:module';

const [medplumPort, simplePort] = process.argv.slice(2).map(Number);
const note = (peer, text) => console.log(JSON.stringify({ peer, message: text }));

const medplum = new Hl7Server((connection) => {
  connection.addEventListener('message', (event) => {
    note('medplum', event.message.toString());
    connection.send(event.message.buildAck());
  });
});
await medplum.start(medplumPort);

const hl7 = createRequire(import.meta.url)('simple-hl7');
const simple = hl7.tcp();
simple.use((request, response) => {
  note('simple', request.msg.log().replaceAll('\n', '\r'));
  response.end();
});
simple.use((error, request, response, next) => {
  note('simple-error', String(error));
  response.end();
});
simple.start(simplePort);
console.log(JSON.stringify({ ready: true }));
