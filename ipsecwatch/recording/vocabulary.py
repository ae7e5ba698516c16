# SPDX-License-Identifier: MIT
"""The words that libreswan prints, for redaction: from the project's tables, and a list here.

They are needed for lines that no grammar knows: there, a word that isn't here counts as private. If
a word is missing here, a redacted text is harder to read. If there is one too many, it may reveal a
name. So there are no host names here, no values of examples, and nothing that was taken from a real
machine's text.
"""

from __future__ import annotations

import re
from typing import Final

from ipsecwatch.libreswan import glossary, log_lines, state_table
from ipsecwatch.libreswan.status.connection_fields import LINES
from ipsecwatch.libreswan.status.topology import ROUTINGS
from ipsecwatch.recording.messages import literals


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text, which blanks separate."""
    return frozenset(text.split())


_PROSE: Final = """
    a about accept accepted accepting according acceptable active add added adding address
    addresses after again aged algorithm algorithms alias aliased all allocated allow allowed
    allows already also alternative an and another any appropriate are as ask asked asking assigned
    at attempt attempted attempting attempts audit auth authenticate authenticated authenticating
    authority authorized available awaiting backlog bad bare based be because been before began
    begin being between bit bits both bound broken bug but by byte bytes cached calculated calling
    can cancel cannot certificate certificates chain challenge change changed check checked
    checking child chosen cleaned clear cleared clearing client close closed code collision command
    completed completing computation compute computed computing config configured confirm
    confirmation connected connecting connection connections containing contains content continue
    continuing control cookie could count created creating critical crypto current database debug
    declaring default deferred delay delete deleted deleting denied depth destination detected
    detection different digest disabled discard discarded discarding dispatch do does done down
    drop dropped dropping due duplicate during each either emitting empty enabled encoding
    encountered encrypted encryption end enough entry error errors established establishing
    exceeded exceeds exchange exhausted existing exists exit exited expect expected expecting
    expire expired expires expiring expiry exponent failed failing failure fatal fewer field file
    fips first fixed flow flushing following for forced format found fragment fragments free from
    full gateway generated get given global got group guess had handle hard has hash have header
    helper helpers hold host how ignored ignoring illegal in inbound incorrect informational
    initial initialize initialized initializing initiate initiated initiating initiation initiator
    inside install installed installing instance instances instantiated instead insufficient
    integrity interface interfaces intermediate internal into invalid is issued issuer it its just
    keep key keyid keying keys kernel kind known larval last later latest lease leased leasing
    least left length libreswan life lifetime limit line list listen listening liveness load loaded
    loading local locate log logging login long looking lookup lost made mark match matched matches
    matching maximum maybe message messages method minimum mismatch mismatched missing mode more
    most must narrowed narrowing need needed needs negotiated negotiating negotiation network never
    new newest next no non none not note nothing notification notify notifying now number object
    obsolete octet octets of off offered offload old older on once one only open opened opening
    operation option optional or oriented orphaned other our outbound out over own packet packets
    pad parent parse parsed part passive password payload payloads peer peers pending per perhaps
    period permanent permitted pool port possible possibly preparing present pressure preshared
    previous probable problem process processed processing prompt proposal proposals proposed
    protected protocol provided public put putting quick random range rate read ready
    reauthenticating reauthentication receive received receiving record redirect redirected
    redirecting refused rejected rejecting rekey rekeyed rekeying release released releasing remain
    remote remove removed removing repeated replace replaced replacement replacing reply request
    requested requesting requests required requires resend resending reserved resolve resolved
    resource resources responded responder responding response responses restart restarting result
    resumption retransmission retransmissions retransmit retransmits retransmitting retried retries
    retry retrying returned reused revival reviving revoked right route routed routing same
    schedule scheduled search second seconds secret secrets section secured security see seen
    select selected selecting selector selectors self send sender sending sent serial server
    service session set setting setup shared should shunt shutting signature signed since size
    skipped soft some source space specified specify start started starting state states status
    still stopped string subnet subnets success successful successfully such suggested suggesting
    supplied support supported supposed suspended suspending switched switching syntax system take
    table template temporary terminate terminated terminating than that the their them then there
    they this thread through time timed timeout times to too traffic transform transforms
    transition transport trap tree tried try trying tunnel tunnels two type types unable
    unacceptable unauthenticated unavailable unencrypted unexpected unknown unlimited unprotected
    unreachable unrecognized unresolved unrouted unsecured unset unspecified unsupported until
    unused up updated updating us use used user uses using valid validation value values verified
    verify verification version via virtual wait waiting want warning was we were when where which
    while whose will with within without wrong yet you your Accepted Adding Aggressive Attempting
    Attribute Authenticated Bad Cannot Certificate Child Connection Deleting Discarding Dropped
    Encryption Error Exchange Failed Hash IP IPsec Ignoring Incorrect Initializing Initiator
    Invalid Key Main Message Mode Mutual Network No Not Number Operation Payload Peer Permission
    Pluto Proposal Quick Received Request Response Retransmitting SA SAs Signature Starting State
    Stopped Stopping Successful Traffic Transform Tunnel Unable Unexpected Vendor Warning Listening
    NAT ID IDs CA CRL OCSP NSS DNS DNSSEC UDP TCP ICMP ICMP6 SPI MTU ESP AH IPCOMP IKE IKEv1 IKEv2
    ISAKMP XFRM XAUTH PAM EAP PSK RSA ECDSA DPD PPK DDoS CERT CERTREQ IDi IDr IDci IDcr AUTH KE Ni
    Nr TSi TSr SK SKF CP Vid NATD NATOA KEYMAT SKEYSEED isakmp ipsec pluto whack addconn systemd
    xfrm netlink netkey klips updown conn alsoflip auto leftid rightid leftsubnet rightsubnet
    leftcert rightcert authby ike esp pfs ikev2 keyexchange msgid cipher integ prf ke dh
    nat_keepalive ENCR PRF INTEG ESN DH proto errno origin err no-such refhim seq sec_label policy=
    remote_host usecs secs ms ipsec.service pluto.service IKE_SA IPSEC CHILD initiates n/a N V D H
    IDENTITY include includes malformed rsasig exchanges assuming Authority Database keylen guessed
    material endpoint phase find Dead Detection Traversal NAT-Traversal NAT-OA Using repeat pull
    counters Oakley Device Vendor_ID vendorid st_event NULL unmatched R_U_THERE R_U_THERE_ACK
    DELETE DELPOLICY PROTO_IPSEC_ESP PROTO_IPSEC_AH PROTO_v2_ESP PROTO_v2_AH IKEv2_SEC_PROTO_ESP
    IKEv2_SEC_PROTO_AH XFRM_MSG_DELPOLICY XFRM_MSG_NEWPOLICY XFRM_MSG_NEWSA XFRM_MSG_DELSA
    XFRM_MSG_UPDPOLICY XFRM_MSG_UPDSA XFRM_MSG_GETSA XFRM_MSG_ACQUIRE XFRM_MSG_EXPIRE ID_NULL
    ID_FQDN ID_IPV4_ADDR ID_IPV6_ADDR ID_DER_ASN1_DN ID_KEY_ID ID_USER_FQDN ID_RFC822_ADDR FQDN
    IPV4_ADDR IPV6_ADDR DER_ASN1_DN KEY_ID USER_FQDN TIMEOUT authby=secret first-match Probe Test
    queue wildcard conns unoriented policies negotiation_shunt assign_holdpass delete_bare_shunt
    initiate_ondemand_body initiate_ondemand acquire proposing SKEYID quick_mode revive
    EVENT_REVIVE_CONNS CK_PERMANENT CK_INSTANCE CK_TEMPLATE CK_GROUP CK_GOING_AWAY
    CK_LABELED_TEMPLATE PERMANENT INSTANCE TEMPLATE GROUPINSTANCE UNROUTED ROUTED_ONDEMAND
    ROUTED_TUNNEL UNROUTED_NEGOTIATION ROUTED_NEGOTIATION UNROUTED_BARE_NEGOTIATION NEGO_PASS
    IKEV2_FRAGMENTATION_SUPPORTED NAT_DETECTION_SOURCE_IP NAT_DETECTION_DESTINATION_IP
    SIGNATURE_HASH_ALGORITHMS USE_PPK INTERMEDIATE_EXCHANGE_SUPPORTED CHILDLESS_IKEV2_SUPPORTED
    REDIRECT_SUPPORTED REDIRECTED_FROM USE_TRANSPORT_MODE ESP_TFC_PADDING_NOT_SUPPORTED
    MOBIKE_SUPPORTED NO_NATS_ALLOWED IPCOMP_SUPPORTED IKE_SESSION_RESUME ISAKMP_NEXT_v2SK --status
    --up --down --add --delete --replace --route --unroute --initiate --terminate --name
    --asynchronous --listen --shutdown --trafficstatus --showstates --globalstatus --shuntstatus
    --connectionstatus --briefstatus --xauthname --xauthpass systemctl reload stop kill
    ACCEPT_REDIRECT_YES ALLOW_NARROWING AUTHNULL AUTH_NEVER DECAP_DSCP DONT_ENCAP_DSCP DONTREKEY
    IKEPAD_NO IKEPAD_YES IKEV1_ALLOW IKEV1_DISABLE IKEV2_ALLOW IKEV2_ALLOW_NARROWING IKEV2_PROPOSE
    INTERMEDIATE NOPMTUDISC PPK_ALLOW PPK_INSIST RESUME SAREF_TRACK SHA2_TRUNCBUG failureDROP
    failurePASS FAILURE KILL TERM SIGKILL SIGTERM SIGSTOP SIGCONT killed numeric performed Broken
    pipe Encrypting block blocks key-length spds corresponding create probe probes library daemon
    Algorithm Hashing Integrity Pseudorandom Function KDF Compression Sequence watchdog action
    threads test case input vector vectors derivation testing libevent headers esp-hw-offload
    supports seccomp selinux leak detective leak-detective leaks position share shared-key-mac
    defaults ESPinUDP libcap-ng FORK PTHREAD_SETSCHEDPRIO SYSTEMD_WATCHDOG LABELED_IPSEC SELINUX
    LIBCAP_NG LINUX_AUDIT AUTH_PAM NETWORKMANAGER CURL LDAP XFRMI NSS-KDF profile Libreswan Version
    read-write read-only limiting OFF expire-lifetime compiled dnssec CAVP RFC AEAD GCM CBC native
    online cores CPU NIC keep-alive ping limits issuing refreshed directional ext_ack Unsupported
    argument Protocol INVALID_IKE_SPI v2N_INVALID_IKE_SPI negotiating_ike_sa unroute routing+kind
    WHACK ACQUIRE initiate_connection YES NO ENABLED DISABLED EVENT_v1_RETRANSMIT
    EVENT_v2_RETRANSMIT EVENT_RETRANSMIT EVENT_SA_REPLACE EVENT_SA_REKEY EVENT_SA_EXPIRE
    EVENT_SA_REPLACE_IF_USED EVENT_v1_SA_REPLACE_IF_USED EVENT_v2_SA_REPLACE_IF_USED
    EVENT_SO_DISCARD EVENT_v2_RESPONDER_TIMEOUT EVENT_v2_LIVENESS EVENT_v1_SEND_XAUTH
    EVENT_CRYPTO_FAILED EVENT_CRYPTO_TIMEOUT EVENT_v2_RELEASE_WHACK EVENT_v2_INITIATE_CHILD
    EVENT_v2_SEND_NEXT_IKE EVENT_v2_ADDR_CHANGE EVENT_v2_REDIRECT
    Information cookies REQUIRED Accepting ACCEPTING IGNORING half-open anonymous encrypt keysizemin
    keysizemax blocksize keydeflen
"""
"""Words that libreswan prints, and that are in no other table of the project."""

_ALGORITHM: Final = words_of(
    """
    AES CBC GCM CCM CTR 3DES DES CAMELLIA CHACHA20 POLY1305 CAST SERPENT TWOFISH BLOWFISH NULL GMAC
    HMAC PRF MD5 SHA SHA1 SHA2 SHA3 XCBC CMAC TRUNCBUG NONE MODP DH ECP CURVE25519 CURVE448 KEM
    BRAINPOOL OAKLEY PRESHARED RSA ECDSA DEFLATE LZS LZJH RSASSA PKCS1 ESP IKE INTEG ENCR
    aes cbc gcm ccm ctr hmac sha sha1 sha2 md5 modp dh ecp null camellia
    """
)
"""Words that names of algorithms consist of, as in ``AES_GCM_16``; numbers aren't here."""

_ADDED: Final = words_of(
    "C A B c a SSH AUTH IDENTITY ML KEY SIG ENABLED DISABLED YES NO ESN SEQUENTIAL PARTIAL BIT PSS"
    " v1 KE AH"
)
"""More words in names of algorithms. A name that has only these isn't taken for an algorithm."""

_NUMBERED: Final = re.compile(
    r"(?:AES|SHA|SHA2|MODP|DH|ECP|MD|CURVE|KEM|aes|sha|modp|dh|ecp|group)?\d{1,5}", re.ASCII
)
_BREAKS: Final = re.compile(r"[-_+]")
_TOKEN: Final = re.compile(r"[^\s\"'`(){}\[\]<>,;:=]+")


def is_algorithm(word: str) -> bool:
    """Return whether a word is the name of an algorithm, or several names joined by ``+`` or ``-``.

    The word is split at ``-``, ``_`` and ``+``. All parts must be known (_ALGORITHM, _ADDED,
    _NUMBERED), and at least one must be more than a number or a part in _ADDED.
    """
    if len(word) > 200:
        return False
    parts = _BREAKS.split(word)
    named = any(p in _ALGORITHM or (_NUMBERED.fullmatch(p) and not p.isdigit()) for p in parts)
    return named and all(p in _ALGORITHM or p in _ADDED or _NUMBERED.fullmatch(p) for p in parts)


_NAMES: Final = frozenset({"main", "idle", "up"})
"""Words that aren't in WORDS: they may be names, and lines that no grammar knows rarely have them.
"""


def _words() -> frozenset[str]:
    """Return all words of _PROSE and of the project's tables, without _NAMES and numbers."""
    texts = [_PROSE, *literals(), *ROUTINGS, *log_lines.NOTIFICATIONS]
    texts += [w.text for s in state_table.STATE_TABLE for w in (*s.names, *s.stories)]
    texts += [w.text.removeprefix("STATE_") for s in state_table.STATE_TABLE for w in s.names]
    texts += [*glossary.TIMERS, *(f"EVENT_{t}" for t in glossary.TIMERS), *glossary.POLICY]
    texts += [*glossary.MARKS, *glossary.SHUNTS]
    texts += [key.printed for line in LINES.values() for key in line]
    found = {w.strip(".?!") for text in texts for w in _TOKEN.findall(text)}
    return frozenset(w for w in found - _NAMES if w and not w.isdigit())


WORDS: Final = _words()
"""Every word that libreswan is known to print, without _NAMES and numbers."""
