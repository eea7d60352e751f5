"""Evidence for third parties: the chain of the audit log, and the packs that show why calls were placed."""
