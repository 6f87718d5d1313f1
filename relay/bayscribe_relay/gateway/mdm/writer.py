"""One attempt to deliver a note as MDM^T02, and to prove what can be proved.

Where the interface can be asked, the stored document is queried and its content compared.
Where it cannot, the acknowledgement is all the proof there is, and is called that.
"""

import hashlib

from bayscribe_relay.gateway.config import SiteConfig
from bayscribe_relay.gateway.document import Document, read_document
from bayscribe_relay.gateway.fhir.client import Stopwatch
from bayscribe_relay.gateway.mdm.message import (
    acknowledgement,
    control_id,
    make_mdm,
    make_query,
    stored_content,
)
from bayscribe_relay.gateway.mdm.mllp import MllpClient, client_context
from bayscribe_relay.gateway.outcome import Job, TryAgain, Verified

_ACCEPTED = ("AA", "CA")


class MdmWriter:
    """Delivers notes to one facility's document interface.

    Args:
        site: its profile; ``mdm_host`` is given.
    """

    def __init__(self, site: SiteConfig) -> None:
        self._site = site
        tls = None
        if site.mdm_tls:
            tls = client_context(site.mdm_ca, site.mdm_certificate, site.mdm_key)
        self._client = MllpClient(
            str(site.mdm_host),
            site.mdm_port,
            tls,
            most=site.mdm_connections,
            ack_timeout_s=site.ack_timeout_s,
        )

    async def close(self) -> None:
        """Drop the connections."""
        await self._client.close()

    async def attempt(self, job: Job) -> Verified:
        """Try once.

        Raises:
            Refused: the Bundle is not what it should be.
            TryAgain: not (known to be) delivered.
        """
        document = read_document(job.key, job.bundle, job.note_sha256)
        can_ask = self._site.mdm_query != "none"
        if job.maybe_stored and can_ask and await self._stored(job, document):
            return self._verified(document, "read-back")
        message = make_mdm(document, self._site.interface)
        job.maybe_stored = True
        job.clock.attempts += 1
        with Stopwatch() as watch:
            try:
                answer = await self._client.exchange(
                    message, control_id(job.key, self._site.interface)
                )
            finally:
                job.clock.emr += watch.elapsed
        code, words = acknowledgement(answer)
        if code not in _ACCEPTED:
            raise TryAgain(f"the interface answered {code[:8]}: {words}".strip(": "))
        if not can_ask:
            return self._verified(document, f"ack {code}")
        if not await self._stored(job, document):
            raise TryAgain("the interface acknowledged the document but does not hold it")
        return self._verified(document, "read-back")

    async def _stored(self, job: Job, document: Document) -> bool:
        """Whether the interface holds the document with the same content."""
        query, control = make_query(document, self._site.interface, self._site.mdm_query)
        with Stopwatch() as watch:
            try:
                answer = await self._client.exchange(query, control)
            finally:
                job.clock.read_back += watch.elapsed
        code, words = acknowledgement(answer)
        if code not in _ACCEPTED:
            raise TryAgain(f"the interface answered the query with {code[:8]}: {words}")
        content = stored_content(answer, job.key)
        if content is None:
            return False
        if hashlib.sha256(content).hexdigest() != job.note_sha256:
            raise TryAgain("the document that the interface holds is not what was attested")
        return True

    @staticmethod
    def _verified(document: Document, how: str) -> Verified:
        return Verified("mdm", {"Document": document.key}, "", how)
