//! What every engine must pass, by the engines on replicated shares.

mod rep3 {
    tacit_protocols::engine_suite!(tacit_protocols::suite::REP3, boolean);
}

mod rep3_malicious {
    tacit_protocols::engine_suite!(tacit_protocols::suite::MALICIOUS, boolean);
}
