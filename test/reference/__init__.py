"""The Atelier protocol, written a second time from doc/protocol.md alone, in plain Python: the judge.

It shares no line and no idea with the node's C, drives no node and reads nothing but that document: slow, direct, one
function a paragraph of the text. Whatever in Python needs the protocol (functional tests, known answers, the scripts
of contrib) takes it from here. Section numbers are those of doc/protocol.md."""
