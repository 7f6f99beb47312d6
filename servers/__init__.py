"""The servers under test: a behaviour, and the programs that follow it.

behaviour   who closes, when and how; plan: where to listen, which worker of how many
application the seam to the protocol that is spoken; http: the one there is
request     bytes to requests; response: a request to what is answered, and to bytes
connection  one accepted connection and how it ends, shared by both kinds:
            protocol (bare sockets) and aiohttp_server (what users run)
poller      which of many sockets are ready
listener    accepts, and reports errors of accept()
worker      one process of a server; lines: its messages. Several are started and supervised by the engine
"""
