# SPDX-License-Identifier: MIT
"""The messages that pluto logs, with what each value in them is: one table, for redaction.

A message is written as in pluto's source, with the name of a field in ``{}`` for each value
(messages.py has the meaning of each name; ``{{`` and ``}}`` are braces that pluto prints).

A message that isn't here is redacted word by word (words.py): words that libreswan uses stay, but a
word that is also a private name is hidden. So a message needs a row if it has a private value, or
if a reason is read from it (log_lines.py), which needs all its words.
"""

from __future__ import annotations

from typing import Final

from ipsecwatch.libreswan.state_table import STATE_TABLE

_EXCHANGE: Final = ("IKE_SA_INIT", "IKE_AUTH", "CREATE_CHILD_SA", "INFORMATIONAL")

_WHACK: Final = ("whack: ", "ERROR: ipsec whack: ", "ipsec whack: ERROR: ")

MESSAGES: Final = (
    # --- whack, and what pluto/query.py says of it ------------------------------------------
    *(
        begin + body
        for begin in _WHACK
        for body in (
            'Pluto is not running (no "{path}"){any}',
            'no right to communicate with pluto (access("{path}")){any}',
            'is Pluto running?  connect() for "{path}" failed ({n} Connection refused)',
            'is Pluto running?  connect() for "{path}" failed ({any})',
            "connect(pluto_ctl) failed: Connection refused (errno {n})",
            "connect(pluto_ctl) failed: {any}",
            "read() failed: Connection reset by peer (errno {n})",
            "read() failed ({n} Connection reset by peer)",
            "read() failed{any}",
            "last line from pluto too long or unterminated",
            "{any}",
        )
    ),
    "whack error: {any}",
    "WARNING: ipsec auto has been deprecated{any}",
    "{path}: unrecognized option '{any}'",
    "pluto is not running: there is no {path}",
    "pluto is not running: nobody listens on {path}",
    "not allowed to ask pluto: {path}",
    "pluto cannot be asked over {path}: {any}",
    "pluto hung up before it was asked",
    "pluto hung up without an answer",
    "pluto broke off its answer",
    "pluto has not answered within {n} s",
    "pluto has not finished its answer within {n} s",
    "pluto has not answered for {n} s",
    "pluto's answer is longer than {n} KiB",
    "too many others wait for pluto's answer",
    "whack has not finished within {n} s",
    "whack failed with exit code {n}",
    "{path} cannot be run: {any}",
    # --- beginning -----------------------------------------------------------------------
    "initiating v2 parent SA to replace {serial}",
    "initiating v2 parent SA",
    "initiating IKEv2 IKE SA",
    "initiating IKEv2 connection to replace establishing IKE SA {serial}",
    "initiating IKEv2 connection to {addr} using UDP",
    "initiating IKEv2 connection to {addr} using TCP",
    "initiating IKEv2 connection",
    "initiating Main Mode to replace {serial}",
    "initiating Main Mode",
    'initiating Aggressive Mode {serial}, connection "{conn}"',
    "initiating IKEv1 Main Mode connection to replace {serial}",
    "initiating IKEv1 Main Mode connection",
    "initiating IKEv1 Aggressive Mode connection",
    "initiating Aggressive Mode",
    "initiating Quick Mode {policy} {{using isakmp{serial} msgid:{spi} {any}",
    "initiating Quick Mode {policy} {{using ISAKMP SA {serial} msgid:{spi} {any}",
    "initiating Quick Mode {policy} {{using isakmp{serial} {any}",
    "initiating Quick Mode {policy} {{using ISAKMP SA {serial} {any}",
    "initiating Child SA using IKE SA {serial}",
    "initiating rekey to replace Child SA {serial} using IKE SA {serial}",
    "initiating rekey to replace IKE SA {serial}",
    "initiating rekey to replace Child SA {serial}",
    "sent QI1, expecting QR1, to replace {serial}",
    "sent Quick Mode request, to replace {serial}",
    ("initiating connection '{conn}' with serial {serial} which received a Delete/Notify but must "
    "remain up per local policy"),
    "initiating all conns with alias='{conn}'",
    'initiating all connections with alias "{conn}"',
    'terminating all connections with alias "{conn}"',
    "initiating {n} connections",
    "terminated {n} connections from aliased connection \"{conn}\"",
    "terminated {n} connections",
    "starting keying attempt {n} of an unlimited number",
    "starting keying attempt {n} of at most {n}",
    "connection is supposed to remain up; revival attempt {n} scheduled in {n} seconds",
    "deleting IKE SA but connection is supposed to remain up; schedule EVENT_REVIVE_CONNS",
    "deleting ISAKMP SA but connection is supposed to remain up; schedule EVENT_REVIVE_CONNS",
    "reviving connection which {any} but must remain up per local policy (serial {serial})",
    "initiate on-demand for packet {addr}",
    "queuing pending IPsec SA negotiating with {addr} IKE SA {serial} \"{conn}\"",
    "queue Child SA; waiting on IKE SA \"{conn}\" {serial} negotiating with {addr}",
    "switching CHILD {serial} to pending connection \"{conn}\"",
    "instantiated connection",
    # --- who the peer is ------------------------------------------------------------------
    "Main mode peer ID is {name}: '{id}'",
    "Aggressive mode peer ID is {name}: '{id}'",
    "IKEv2 mode peer ID is {name}: '{id}'",
    "Peer ID is {name}: '{id}'",
    "processing decrypted IKE_AUTH request: {any}",
    "processing decrypted IKE_AUTH response: {any}",
    "processing IKE_AUTH request from {addr} containing {any}",
    "processing IKE_AUTH response from {addr} containing {any}",
    "processing IKE_SA_INIT request from {addr} containing {any}",
    "sent IKE_AUTH request to {addr} with {any} and {name} '{id}'; Child SA {serial} {{{any}",
    "sent IKE_AUTH request to {addr} with {any} and {name} '{id}'",
    "authenticated peer using {any} and {name} '{id}'",
    "initiator established IKE SA; authenticated peer using {any} and {name} '{id}'",
    "responder established IKE SA; authenticated peer using {any} and {name} '{id}'",
    *(
        f"{role} established IKE SA; authenticated peer {how}"
        for role in ("initiator", "responder")
        for how in (
            "certificate '{id}' and {any} signature issued by '{id}'",
            "certificate '{id}' and {any}",
            "'{any}' signature using {any} certificate '{id}'",
            "{any} signature using {any} '{id}'",
            "{any} issued by '{id}'",
        )
    ),
    "initiator established IKE SA; authenticated peer {any}",
    "responder established IKE SA; authenticated peer {any}",
    "initiator established IKE SA",
    "responder established IKE SA",
    "initiator rekeyed IKE SA {serial}",
    "responder rekeyed IKE SA {serial}",
    "initiator established Child SA using {serial}",
    "responder established Child SA using {serial}",
    "initiator rekeyed Child SA {serial} using {serial}",
    "responder rekeyed Child SA {serial} using {serial}",
    "initiator established Child SA",
    "responder established Child SA",
    "initiator rekeyed Child SA",
    "responder rekeyed Child SA",
    "switched to \"{conn}\"[{n}] {addr}",
    "switched to \"{conn}\"",
    "switched from \"{conn}\" to \"{conn}\"",
    "ISAKMP SA established",
    "IKE SA established but initiator rejected Child SA response",
    "IKE SA established",
    "IPsec SA established tunnel mode {{{any} username={user}}}",
    "IPsec SA established transport mode {{{any} username={user}}}",
    "IPsec SA established tunnel mode",
    "IPsec SA established transport mode",
    "IPsec SA established",
    "negotiated connection [",
    "the peer proposed: {addr}",
    "Received IPv4 address: {addr}",
    "received IPv4 lease {addr}, updating source IP address",
    "received INTERNAL_IP4_ADDRESS {addr}",
    "received INTERNAL_IP6_ADDRESS {addr}",
    "Received Domain: {host}",
    "received INTERNAL_DNS_DOMAIN '{host}'",
    "received INTERNAL_DNS_DOMAIN: {host}",
    "Received DNS server {addr}",
    "received INTERNAL_IP4_DNS server address {addr}",
    "received INTERNAL_IP6_DNS server address {addr}",
    "Received Banner: {banner}",
    "received Banner: {banner}",
    "Banner: {banner}",
    "Received subnet {addr}",
    # --- refused: identities, keys, certificates --------------------------------------------
    "IKE SA authentication request rejected by peer: {name}",
    "IKE SA authentication request rejected by peer: unrecognized response",
    "IKE SA authentication request rejected: {name}",
    "IKE SA authentication failed, unrecognized IKE_AUTH response",
    ("IKE SA authentication failed, incomplete IKE_AUTH response contains the Child SA error "
    "notification {name}{any}"),
    ("IKE SA authentication failed, incomplete IKE_AUTH response contains the status notification "
    "{name}{any}"),
    "peer rejected Child SA ({name}) and IKE SA does not have policy UP",
    "response for Child SA {serial} was rejected ({name}) and IKE SA does not have policy UP",
    ("response for Child SA {serial} was rejected with {name}; initiating delete of Child SA "
    "(IKE SA will remain UP)"),
    "received ERROR NOTIFY ({n}): {name}{any}",
    "CHILD SA encountered fatal error: {name}",
    "AUTH mismatch: Received AUTH != computed AUTH",
    "authentication failed: no PSK found for '{id}'",
    "authentication failed: using {any} for '{id}' tried {private}",
    "authentication failed: no certificate matched {any} and '{id}'",
    "authentication failed: '{id}' PSK length of {n} bytes is too short",
    "authentication failed: {any}",
    "authentication aborted: problem with '{private}': {any}",
    "authentication aborted: {any}",
    "FIPS: authentication failed: '{id}' PSK length of {n} bytes is too short",
    "FIPS: authentication failed: {any}",
    "FIPS: authentication aborted: {any}",
    ("X509: authentication failed; peer certificate subjectAltName extension does not match "
    "{name} '{id}'"),
    "X509: authentication failed; peer {name} '{id}' does not match expected {private}",
    "X509: authentication failed; peer {name} '{id}' does not match expected",
    "X509: authentication failed{any}",
    "X509: authentication aborted{any}",
    "X509: failed{any}",
    "X509: CERT payload bogus or revoked",
    "X509: certificate rejected for this connection",
    "X509: certificate payload rejected for this connection",
    "X509: Certificate rejected for this connection",
    "X509: no EE-cert in chain",
    "X509: connection failed due to unmatched IKE ID in certificate SAN",
    "Peer public key SubjectAltName does not match peer ID for this connection",
    "Peer CERT payload SubjectAltName does not match peer ID for this connection",
    "peer ID_DER_ASN1_DN '{id}' does not match expected {private}",
    "peer ID_DER_ASN1_DN '{private}",
    "peer ID DER_ASN1_DN '{id}' does not match expected {private}",
    "peer ID DER_ASN1_DN '{private}",
    "NSS: ERROR: IPsec certificate {id} invalid: {name}: {any}",
    "NSS: ERROR: IPsec certificate {id} invalid: {name}",
    "NSS: ERROR: IPsec certificate {private}",
    "NSS: end certificate invalid",
    "Certificate {id} failed verification",
    "certificate does not contain ID_IP subjectAltName={private}",
    "certificate does not contain ID_USER_FQDN subjectAltName={private}",
    "certificate does not contain subjectAltName={private}",
    "certificate contains no subjectAltName extension to match {name} '{id}'",
    "certificate contains no subjectAltName extension matching '{id}'",
    "certificate contains no subjectAltName extension",
    "certificate subjectAltName extension does not match {name} '{id}'",
    "certificate subjectAltName extension does not match {private}",
    "No matching subjectAltName found for '{id}'",
    "No matching subjectAltName found",
    "ID_DER_ASN1_DN '{id}' does not match expected {private}",
    "FIPS: Rejecting peer cert with key size {n} under {n}",
    "FIPS: rejecting peer cert with key size {n} under {n}: {private}",
    "Certificate {id} failed TLS Server verification",
    "Certificate {id} failed TLS Client verification",
    "Certificate {id} failed IPsec verification",
    "certificate {id} failed TLS Server verification",
    "certificate {id} failed TLS Client verification",
    "certificate {id} failed IPsec verification",
    "certificate revoked!",
    "certificate payload rejected; crl-strict=yes and {any}",
    "X509: Invalid certificate (self-signed EE-cert attempted or MAX_CA_PATH_LEN reached",
    "X509: CERT payload does not match connection ID",
    "missing or expired CRL in strict mode, failing pending update and forcing CRL update",
    "missing or expired CRL in strict mode, failing pending update",
    "Digital Signature authentication failed",
    "Digital Signature authentication using {any} failed in {any}",
    "RSA authentication failed",
    "RSA authentication of {any} failed",
    "PSK Authentication failed: AUTH mismatch!",
    "PSK Authentication failed: AUTH mismatch in {any}!",
    "NULL Authentication failed: AUTH mismatch{any}",
    "NULL authentication failed: AUTH mismatch{any}",
    *(
        f"{peer} attempted {how} but we want {{any}}"
        for peer in ("Peer", "peer")
        for how in (
            "RSA authentication", "PSK authentication", "NULL authentication",
            "Authentication through Digital Signature",
        )
    ),
    "probable authentication failure (mismatch of preshared secrets?): {any}",
    "received Hash Payload does not match computed value",
    "received message SIG_I data did not match computed value",
    "received message SIG_R data did not match computed value",
    "Peer mismatch on first found connection and no better connection found",
    "Peer ID '{id}' mismatched on first found connection and no better connection found",
    "Peer ID '{id}' is not specified on any matching connection",
    ("Peer ID '{id}' is not specified on the certificate SubjectAltName (SAN) and no better "
    "connection found"),
    "we require IKEv1 peer to have ID '{id}', but peer declares '{id}'",
    "we require IKEv2 peer to have ID '{id}', but peer declares '{id}'",
    "we require peer to have ID '{id}', but peer declares '{id}'",
    "no suitable connection for peer '{id}'",
    ("initial Aggressive Mode packet claiming to be from {id} on {addr} but no connection has been "
    "authorized"),
    "no RSA public key known for '{id}'",
    "no ECDSA public key known for '{id}'",
    "DNS: IPSECKEY not found or usable",
    "Signature check (on {id}) failed {any}; tried {private}",
    "RSA Signature check (on {id}) failed {any}; tried {private}",
    "ECDSA Signature check (on {id}) failed {any}; tried {private}",
    "Signature check (on {private}",
    "RSA Signature check (on {private}",
    "ECDSA Signature check (on {private}",
    "private key matching CKAID '{private}' not found: {any}",
    "private key matching CKAID {private}",
    "private key for connection not found",
    "private key matching {any} \"{private}\" not found in NSS DB, {any}",
    "private key matching {any} \"{private}",
    "connection {conn}'s {name} private key not found",
    "connection's {name} private key not found",
    "Can't find the certificate or private key from the NSS CKA_ID",
    "Can't find the private key from the NSS CKA_ID",
    "Can't find the private key from the certificate (found using NSS CKA_ID",
    "No {name} private key found",
    "no {name} private key found",
    "Private key not found (missing or token locked?",
    "private key not found (certificate missing from NSS DB or token locked?)",
    "No matching PSK found for connection:{conn}",
    "FIPS: connection {conn} PSK length of {n} bytes is too short for {any}",
    "FIPS Error: connection {conn} PSK length of {n} bytes is too short for {any}",
    "FIPS Error: connection PSK length of {n} bytes is too short for {any}",
    "reloading leftcert='{cert}' failed: {any}",
    "reloading rightcert='{cert}' failed: {any}",
    "reloading leftcert failed: {any}",
    "reloading rightcert failed: {any}",
    "unable to locate my private key for RSA Signature",
    "unable to locate my private key for {any}",
    "Can't authenticate: no preshared key found for `{id}' and `{id}'.  Attribute{any}",
    "Can't authenticate: no preshared key found for {private}",
    "Failed to find our PreShared Key",
    "Failed to find our PreShared key",
    "Failed to find our RSA key",
    "Failed to find our RSA Key",
    "DigSig: failed to find our RSA key",
    "DigSig: failed to find our ECDSA key",
    "connection requires PPK, but we didn't find one",
    "connection has ppk=insist but peer does not support PPK",
    "Requested PPK_ID not found and connection requires a valid PPK",
    "failed to receive PPK confirmation and connection has ppk=insist",
    "Failed to receive PPK confirmation and connection has ppk=insist",
    "Received PPK_IDENTITY but connection does not allow PPK",
    "received PPK_IDENTITY but connection does not allow PPK",
    "N(PPK_IDENTITY) not received and connection insists on PPK. Abort!",
    "N(PPK_IDENTITY) not received and connection {any}",
    "No matching (PPK_ID, PPK) found and connection requires a valid PPK. Abort!",
    "No matching (PPK_ID, PPK) found and connection requires {any}",
    ("no matching (PPK_ID, PPK) found and connection requires a valid PPK, terminating "
    "connection"),
    "connection requires PPK, but PPK_ID did not match any loaded PPK",
    "failed to find PPK and PPK_ID, continuing without PPK",
    "Peer attempted EAP authentication, but {any}",
    "failed to add connection: left certificate '{cert}' not found in the NSS database",
    "failed to add connection: right certificate '{cert}' not found in the NSS database",
    "left certificate '{cert}' {any}",
    "right certificate '{cert}' {any}",
    "certificate verified OK: {id}",
    # --- user names -------------------------------------------------------------------------
    "XAUTH: User {user}: Authentication Failed: Incorrect Username or Password",
    "XAUTH: User {user}: Authentication Failed (Retried {n} times)",
    "XAUTH: User {user}: Authentication Failed (retry {n})",
    "XAUTH: User {user}: Authentication Successful",
    "XAUTH: User {user}: Attempting to login",
    "XAUTH: User {user}: {any}",
    "XAUTH: User {user}",
    "XAUTH: user {user}: {any}",
    "XAUTH: Answering XAUTH challenge with user='{user}'",
    "XAUTH: authentication for {user} failed, but policy is set to soft fail",
    "XAUTH: failure user({user}:{conn})",
    "XAUTH: success user({user}:{conn})",
    "XAUTH: checking user({user}:{conn})",
    "XAUTH: password file authentication method requested to authenticate user '{user}'",
    "XAUTH: PAM authentication method requested to authenticate user '{user}'",
    "XAUTH: pam authentication method requested to authenticate user '{user}'",
    "XAUTH: authentication method 'always ok' requested to authenticate user '{user}'",
    "XAUTH: nested {any}",
    "XAUTH: #{n}: {any}",
    "XAUTH: aborting entire IKE Exchange",
    "XAUTH: Successfully Authenticated",
    "XAUTH: Username or password request was received, but XAUTH client mode not enabled",
    "XAUTH: Username or password request received",
    "XAUTH: unable to open password file ({path}) for verification",
    "XAUTH: unable to open password file {private}",
    "XAUTH: Sending Username/Password request",
    "XAUTH: Sending XAUTH Login/Password Request",
    "XAUTH username prompt failed",
    "XAUTH password prompt failed",
    "XAUTH username requested, but no file descriptor available for prompt",
    "XAUTH password requested, but no file descriptor available for prompt",
    "no Username entered, aborted",
    "no Password entered, aborted",
    "Received Cisco XAUTH status: FAIL",
    "Received Cisco XAUTH type: {any}",
    "Received Cisco XAUTH username",
    "Received Cisco XAUTH password",
    "Received Cisco {any}",
    "EAP AUTH failed",
    "NSS: Handshake failed: {name}: {any}",
    "NSS: Handshake failed{any}",
    "NSS: Keying material export failed{any}",
    "PAM: authentication of user '{user}' SUCCEEDED after {n} seconds",
    "PAM: authentication of user '{user}' FAILED after {n} seconds",
    "PAM: authentication of user '{user}' ABORTED (timeout) after {n} seconds",
    "PAM: authentication of user '{user}' ABORTED ({any}) after {n} seconds",
    "PAM: {any} user '{user}' {any}",
    "PAM: {any} '{user}'{any}",
    "xauth_inR1(STF_OK){any}",
    "ESP traffic information: in={amount} out={amount} XAUTHuser={user}",
    "AH traffic information: in={amount} out={amount} XAUTHuser={user}",
    "IPCOMP traffic information: in={amount} out={amount} XAUTHuser={user}",
    "ESP traffic information: in={amount} out={amount}",
    "AH traffic information: in={amount} out={amount}",
    "IPCOMP traffic information: in={amount} out={amount}",
    "ESP traffic information: {any}",
    "AH traffic information: {any}",
    # --- proposals and selectors -------------------------------------------------------------
    "no IKEv2 connection found with compatible Traffic Selectors",
    "No IKEv2 connection found with compatible Traffic Selectors",
    "proposed Traffic Selectors do not match labeled IKEv2 connection",
    "cannot respond to IPsec SA request because no connection is known for {addr}",
    "peer proposal was rejected in a virtual connection policy: {any}",
    "peer proposal was reject in a virtual connection policy: {any}",
    "Child SA's Traffic Selector {addr} {any}",
    "Quick Mode request rejected; connection has no remote client selector",
    ("Quick Mode request rejected, peer requested lease but proposed local selector {addr} does "
    "not match connection {addr}; deleting ISAKMP SA"),
    *(
        f"{side} peer returned {what} match my proposal - us: {{n}} vs them: {{n}}"
        for side in ("our client", "peer client")
        for what in ("port doesn't", "protocol id does not")
    ),
    "IDci, IDcr payloads missing in message but default does not match proposal",
    "our client ID returned doesn't match my proposal - us: {addr} vs them: {addr}",
    "peer client ID returned doesn't match my proposal - us: {addr} vs them: {addr}",
    "our client subnet returned doesn't match my proposal - us: {addr} vs them: {addr}",
    "peer client subnet returned doesn't match my proposal - us: {addr} vs them: {addr}",
    "our client ID returned doesn't match my proposal",
    "peer client ID returned doesn't match my proposal",
    "our client subnet returned doesn't match my proposal",
    "peer client subnet returned doesn't match my proposal",
    "no acceptable Oakley Transform",
    "no acceptable Proposal in IPsec SA",
    *(
        f"no local proposal matches remote proposals {{n}}:{protocol}:{{any}}"
        for protocol in ("IKE", "ESP", "AH")
    ),
    "no local proposal matches remote proposals {any}",
    "no local proposal matches {any}",
    "remote accepted the invalid proposal {any}",
    "IKE initiator proposed an unsupported algorithm",
    "IKE responder accepted an unsupported algorithm",
    "policy does not allow Extended Authentication (XAUTH) {any}",
    "policy mandates Extended Authentication (XAUTH) {any}",
    "Ignoring received unauthenticated INVALID_KE with unacceptable DH group suggestion {name}",
    "discarding unauthenticated INVALID_KE_PAYLOAD response {any}",
    "Discarding unauthenticated INVALID_KE_PAYLOAD response {any}",
    "ignoring received INVALID_KE packets - received too many (DoS?)",
    "we require PFS but Quick I1 SA specifies no GROUP_DESCRIPTION",
    "policy dictates Transport Mode, but peer requested {any}",
    "policy dictates Tunnel Mode, but peer requested {any}",
    "policy dictates {any}, but peer requested {any}",
    "local policy requires Tunnel Mode but peer requires {any}",
    "local policy requires Transport Mode but peer requires {any}",
    "IKE_AUTH response missing v2SA, v2TSi or v2TSr: not attempting to setup {any}",
    "missing v2SA, v2TSi or v2TSr: not attempting to setup child SA",
    "missing v2CP reply, not attempting to setup child SA",
    ("IKE_AUTH response missing at least one of the Child SA payloads v2SA, v2TSi and "
    "v2TSr"),
    "IKE_AUTH request does not include a CP payload required by {any}; Child SA ignored",
    # --- the network -----------------------------------------------------------------------
    (
        "asynchronous network error report on {iface} ({addr}), complainant {addr}: "
        "Message too long [errno {n}, {any}"
    ),
    ("asynchronous network error report on {iface} ({addr}), complainant {addr}: {any} "
    "[errno {n}, {any}"),
    "sendto on {iface} to {addr} failed in {any}. Errno {n}: {any}",
    "send on {iface} from {addr} to {addr} using UDP failed in delete notification: {any}",
    "send on {iface} from {addr} to {addr} using UDP failed in {any} (errno {n})",
    "send on {iface} from {addr} to {addr} using TCP failed in {any} (errno {n})",
    "send on {iface} from {addr} to {addr} using UDP failed in {any}",
    "send on {iface} from {addr} to {addr} using TCP failed in {any}",
    "TCP: socket {n}: connecting to {addr}: {any}",
    "TCP: connect({n}) failed{any}",
    "setsockopt(SOL_TCP, TCP_ULP) failed ({any}",
    'TCP: socket {n}: setting socket option "espintcp"{any}',
    "Cannot send packet - interface vanished!",
    "cannot send packet - interface vanished!",
    "route_owner: connection no longer oriented - system interface change?",
    "no local source address to reach remote {addr}, local gateway {addr}",
    "no local source address to reach remote {addr}",
    *(
        f"failed to resolve '{side}={{host}}'{then}"
        for side in ("left", "right")
        for then in (" at load time: {any}", ", {any}")
    ),
    ("We cannot identify ourselves with either end of this connection.  {addr} or {addr} are not "
    "usable"),
    ("we cannot identify ourselves with either end of this connection.  {addr} or {addr} are not "
    "usable"),
    "We cannot identify ourselves with either end of this connection{any}",
    "we cannot identify ourselves with either end of this connection{any}",
    ("cannot initiate connection without resolved dynamic peer IP address, will keep retrying "
    "(kind={name})"),
    "cannot initiate connection without resolved dynamic peer IP address{any}",
    "cannot initiate connection without knowing peer IP address (kind={name})",
    "cannot initiate connection (serial {serial}) without knowing peer IP address{any}",
    "cannot initiate connection without knowing peer IP address{any}",
    "failed to convert '{host}' at load time: {any}",
    "IKE_SA_INIT redirect exceeds limit{any}",
    "IKE_AUTH redirect exceeds limit{any}",
    "IKE_SA_INIT redirect loop{any}",
    "IKE_AUTH redirect loop{any}",
    "adding interface {iface} {addr}:UDP/{n} (NAT)",
    "adding interface {iface} {addr}",
    "adding interface {iface}/{iface} {addr}",
    "adding UDP interface {iface} {addr}",
    "adding TCP interface {iface} {addr}",
    "shutting down interface {iface}/{iface} {addr}",
    "shutting down interface {iface} {addr}",
    "forgetting secrets",
    "loading secrets from \"{path}\"",
    "secrets file: {path}",
    "core dump dir: {path}",
    # --- our own kernel and scripts -----------------------------------------------------------
    "netlink response for Add SA {any}",
    *(
        f'command "{verb}": {end} {{any}}'
        for verb in ("prepare", "route", "up", "unroute", "down")
        for end in ("exited with status", "terminated with signal")
    ),
    *(
        f'command "{verb}" output: {{private}}'
        for verb in ("prepare", "route", "up", "unroute", "down")
    ),
    "netlink response for Del SA {any}",
    "cannot install kernel policy {addr}; in use by negotiating Child SA \"{conn}\" {serial}",
    "cannot install kernel policy {addr}; it is in use by the {any} connection \"{conn}\"{any}",
    "cannot install kernel policy {addr}; in use by {any} \"{conn}\"{any}",
    "cannot install kernel policy {any}",
    "cannot install eroute -- it is in use for \"{conn}\" {serial}",
    "cannot install eroute -- it is in use for \"{conn}\"{any}",
    "cannot install eroute {any}",
    "cannot initiate an authby=never connection",
    "cannot initiate: no acceptable kernel algorithms loaded",
    "redirect loop, stop initiating IKEv2 exchanges",
    "lease_an_address failure {any}",
    "deleting lasting state {serial} on interface ({iface}) which is shutting down",
    "Starting Pluto (Libreswan Version {any}) pid:{n}",
    "cannot route -- route already in use for \"{conn}\" - but allowing anyway",
    "cannot route -- route already in use for \"{conn}\"",
    "leasing IPv4 address failed: {any}",
    "leasing IPv6 address failed: {any}",
    "ikev2 lease_an_address failure {any}",
    "Quick Mode request rejected, peer requested lease of {addr} but it is unavailable{any}",
    "Quick Mode request rejected, peer requested lease of {addr}",
    "command \"{any}\" output: {private}",
    # --- notifications --------------------------------------------------------------------------
    "IKE_AUTH response rejected Child SA with {name}",
    "AUTH response rejected Child SA with {name}",
    "IKE_AUTH response contained the error notification {name}",
    "AUTH response contained the error notification {name}",
    "IKE_AUTH response contained the CHILD SA error notification '{name}'",
    "AUTH response contained the status notification {name}",
    "CREATE_CHILD_SA failed with error notification {name}",
    "CHILD SA failed: {name}",
    "CHILD SA encountered fatal error: {name}",
    "encountered fatal error in state {name}",
    *(
        f"responding to {exchange} {what} with {how} notification {{name}}"
        for exchange in ("AUTH", "IKE_INTERMEDIATE", *_EXCHANGE)
        for what in ("message (ID {n}) from {addr}", "({n}) message (Message ID {n})",
                     "({n}) message (Message ID {n}) from {addr}", "request with Message ID {n}")
        for how in ("encrypted", "unencrypted")
    ),
    "responding to {any} message (ID {n}) from {addr} with encrypted notification {name}",
    "responding to {any} message (ID {n}) from {addr} with unencrypted notification {name}",
    "responding to {any} with encrypted notification {name}",
    "responding to {any} with unencrypted notification {name}",
    "received unauthenticated {name}",
    *(
        f"{verb}{protocol}{exchange} {sort} containing {{name}} notification{payloads}"
        for verb in ("ignoring unexpected ", "ignoring ", "dropping unexpected ", "unexpected ")
        for protocol in ("ISAKMP_v2_", "")
        for exchange in _EXCHANGE
        for sort in ("response", "request", "message")
        for payloads in ("; message payloads: {names}; encrypted payloads: {any}", "")
        if not payloads or sort == "message"
    ),
    "ignoring informational payload {name}, msgid={spi}, length={n}",
    "ignoring secured informational payload {name}, msgid={spi}, length={n}",
    "ignoring secured informational payload {name}, msgid={spi}, len={n}",
    "ignoring unsecured informational payload {name}, length={n}",
    "ignoring informational payload {name}",
    "ignoring secured informational payload {name}",
    "ignoring unsecured informational payload {name}",
    "received and ignored notification payload: {name}",
    "sending notification {name} to {addr}",
    "sending encrypted notification {name} to {addr}",
    "sending unencrypted notification {name} to {addr}",
    "IKE_AUTH response redirects to new gateway {addr}",
    # --- silence --------------------------------------------------------------------------------
    ("{n} second timeout exceeded after {n} retransmits.  No response (or no acceptable response) "
    "to our {any}"),
    ("{n} second timeout exceeded after {n} retransmits.  No acceptable response to our first "
    "Quick Mode message: perhaps peer likes no proposal"),
    ("{n} second timeout exceeded after {n} retransmits.  No acceptable response to our first "
    "Quick Mode message{any}"),
    ("{n} second timeout exceeded after {n} retransmits.  Possible authentication failure: no "
    "acceptable{any}"),
    *(
        f"max number of retransmissions ({{n}}) reached after {{n}} seconds{then}"
        for then in (
            ".  No response (or no acceptable response) to our {any}",
            ".  No acceptable response to our first Quick Mode message{any}",
            (".  Possible authentication failure: no acceptable response to our first encrypted "
             "message"),
            "",
        )
    ),
    "{n} second timeout exceeded after {n} retransmits",
    "{n} second timeout exceeded after {n} retransmit.  {any}",
    ("max number of retransmissions ({n}) reached {name}.  No response (or no acceptable response) "
    "to our {any}"),
    ("max number of retransmissions ({n}) reached {name}.  No acceptable response to our first "
    "Quick Mode message{any}"),
    ("max number of retransmissions ({n}) reached {name}.  Possible authentication failure: no "
    "acceptable{any}"),
    "max number of retransmissions ({n}) reached {name}",
    "retransmitting in response to duplicate packet; already {name}",
    "discarding duplicate packet -- exhausted retransmission; already {name}",
    "retransmission; will wait {n} seconds for response",
    "retransmitting {any}; will wait {n} seconds for response",
    # --- ends -----------------------------------------------------------------------------------
    "terminating SAs using this connection",
    "initiating delete of connection's IKE SA {serial} (and Child SA {serial})",
    "initiating delete of connection's Child SA {serial} using IKE SA {serial}",
    "initiating delete of connection's IPsec SA {serial} and ISAKMP SA {serial}",
    "initiating delete of connection's {any}",
    "initiating delete of \"{conn}\" {serial} which has connection's Child SA {serial}",
    "initiating delete of \"{conn}\" {serial} which has connection's IPsec SA {serial}",
    "initiating delete of {private} which has connection's {any}",
    "marking connection down, {name} SA {serial} is shared with \"{conn}\"",
    "marking connection down, {any}",
    "marking connection down",
    "IKE SA is shared - only terminating IPsec SA",
    "IKE SA is shared - only terminating Child SA",
    "ISAKMP SA is shared - only terminating IPsec SA",
    "intiating delete",
    "received whack to delete connection by user {user}",
    "received whack to delete connection by id {id}",
    "received whack to delete {any} state {serial} {name}",
    "received whack to delete {any}",
    "suspending connection - deleting states",
    "deleting connection \"{conn}\"[{n}] instance with peer {addr} {{isakmp=#{n}/ipsec=#{n}}}",
    ("deleting connection \"{conn}\"[{n}] {addr} instance with peer {addr} "
    "{{isakmp=#{n}/ipsec=#{n}}}"),
    "deleting labeled parent connection with peer {addr} sec_label:{label}",
    "deleting labeled child connection with peer {addr} sec_label:{label}",
    "added connection description \"{conn}\"",
    *(
        f"added {oriented}{version} connection{name}"
        for oriented in ("", "oriented ", "unoriented ")
        for version in ("IKEv1", "IKEv2")
        for name in (" \"{conn}\"", "")
    ),
    "deleting connection instance with peer {addr} {{isakmp=#{n}/ipsec=#{n}}}",
    "deleting connection instance with peer {addr}",
    "deleting connection \"{conn}\"{any}",
    "deleting non-instance connection",
    "deleting connection",
    "deleting state ({state}) aged {n}s and sending notification",
    "deleting state ({state}) aged {n}s and NOT sending notification",
    "deleting state ({state}) and sending notification",
    "deleting state ({state}) and NOT sending notification",
    "deleting state ({state})",
    ("deleting other state {serial} connection ({state}) \"{conn}\" aged {n}s and sending "
    "notification"),
    ("deleting other state {serial} connection ({state}) \"{conn}\" aged {n}s and NOT sending "
    "notification"),
    "deleting other state {serial} connection ({state}) \"{conn}\" and sending notification",
    "deleting other state {serial} connection ({state}) \"{conn}\" and NOT sending notification",
    "deleting other state {serial} connection ({state}) \"{conn}\"",
    "deleting other state {serial} ({state}) \"{conn}\" and sending notification",
    "deleting other state {serial} ({state}) \"{conn}\"",
    "deleting other state {serial} ({state})",
    *(
        f"deleting {sa} SA ({{state}}){aged}{sends}{using}"
        for sa in ("IKE", "IPsec", "Child", "ISAKMP")
        for aged in (" aged {n}s", "")
        for sends in (" and sending notification", " and NOT sending notification", "")
        for using in (" using ISAKMP SA {serial}", " using IKE SA {serial}", "")
    ),
    "deleting established Child SA using IKE SA {serial}",
    "sent INFORMATIONAL request to delete established Child SA using IKE SA {serial}",
    "sent INFORMATIONAL request to delete larval Child SA using IKE SA {serial}",
    "sent INFORMATIONAL request to delete IKE SA",
    "received Delete SA({spi}) payload: deleting IPSEC State {serial}",
    "received Delete SA({spi}) payload: deleting IPsec State {serial}",
    "received Delete SA({spi}) payload: self-deleting IPsec State {serial}",
    "received Delete SA payload: deleting ISAKMP State {serial}",
    "received Delete SA payload: self-deleting ISAKMP State {serial}",
    "received Delete SA payload via {serial}",
    *(
        f"received Delete SA payload: {verb} {sa} {{serial}}{when}"
        for verb in (
            "already replacing", "already deleting", "already expiring", "already delete",
            "replace", "delete", "expire", "replacing", "deleting", "expiring",
        )
        for sa in ("IPSEC State", "IPsec State", "CHILD SA")
        for when in (" in {n} seconds", "{any}")
    ),
    *(
        f"{sa} SA expired ({why})"
        for sa in ("Child", "IPsec", "CHILD", "ISAKMP", "IKE")
        for why in ("LATEST!", "--dontrekey")
    ),
    "received hard EXPIRE for {any} SPI {spi} bytes {n} packets {n} rekey=yes; deleting old SA",
    ("received hard EXPIRE for {any} SPI {spi} bytes {n} packets {n} rekey=yes; already hard "
    "expired"),
    "received hard EXPIRE for {any} SPI {spi} bytes {n} packets {n} rekey=no",
    "received soft EXPIRE for {any} SPI {spi} bytes {n} packets {n} rekey=yes; replacing",
    "received hard EXPIRE for {any}",
    "initiating active session redirect to new gateway (address: {addr})",
    "INFORMATIONAL request redirects to new gateway {addr}",
    "INFORMATIONAL response redirects to new gateway {addr}",
    "scheduling redirect {n} to {addr}",
    # --- the peer is dead -----------------------------------------------------------------------
    *(
        f"{who} {what}"
        for who in (
            "DPD action -", "liveness action -", "IKEv1 DPD action -", "IKEv2 liveness action -",
            "IKEv1 DPD: action -", "IKEv2 liveness: action -", "IKEv2 peer liveness -", "DPD:",
        )
        for what in (
            "restarting all connections that share this peer",
            "Restarting all connections that share this peer",
            "clearing connection kind {name}",
            "clearing connection",
            "putting connection into hold",
            "putting connection into %hold",
            "Putting connection into %trap",
        )
    ),
    "DPD action - {any}",
    "liveness action - {any}",
    ("liveness_check - peer {addr} has not responded in {n} seconds, with a timeout of {n}, taking "
    "{any}"),
    *(
        f"{who}: Clearing Connection {{conn}}[{{n}}] {{name}}"
        for who in (
            "IKEv1 DPD action", "IKEv2 liveness action", "IKEv2 liveness action clear",
        )
    ),
    "DPD: No response from peer - declaring peer dead",
    # --- pluto and its unit ---------------------------------------------------------------------
    "Pluto is shutting down",
    "Pluto is up",
    "shutting down",
    *(
        f"{verb} {{unit}} - Internet Key Exchange (IKE) Protocol Daemon for IPsec{dots}"
        for verb in ("Starting", "Started", "Stopping", "Stopped", "Reloading", "Reloaded")
        for dots in ("...", ".", "")
    ),
    *(
        f"{verb} {{unit}} - {{any}}"
        for verb in ("Starting", "Started", "Stopping", "Stopped", "Reloading", "Reloaded",
                     "Finished")
    ),
    "Suppressed {n} messages from {unit}",
    "{unit}: Main process exited, code={any}, status={n}/{any}",
    "{unit}: Main process exited{any}",
    "{unit}: Killing process {n} ({any}) with signal {any}",
    "{unit}: Sent signal SIGKILL to main process {private} (pluto) on client request.",
    "{unit}: Sent signal SIGKILL{any}",
    "{unit}: Stopped {any}",
    "{unit}: Stopping {any}",
    "{unit}: Deactivated successfully.",
    "{unit}: Failed with result '{any}'.",
    "{unit}: Scheduled restart job, restart counter is at {n}.",
    "{unit}: Consumed {n}s CPU time.",
    "{unit}: {any}",
    *sorted(w.text for s in STATE_TABLE for w in s.stories if " " in w.text),
)  # fmt: skip
"""All messages. The first one that fits a line is used, so more specific ones come first."""

UPDOWN_VERBS: Final = tuple(
    f"{verb}-{end}"
    for verb in ("prepare", "route", "unroute", "up", "down")
    for end in ("client-v6", "host-v6", "client", "host")
)
"""The actions of the updown script, as ``up-client``. Lines about its output begin with one."""
