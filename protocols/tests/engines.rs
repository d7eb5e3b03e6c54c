//! What every engine must pass, by the engines on replicated and on additive shares.

mod rep3 {
    tacit_protocols::engine_suite!(tacit_protocols::suite::REP3, boolean);
}

mod rep3_malicious {
    tacit_protocols::engine_suite!(tacit_protocols::suite::MALICIOUS, boolean);
}

/// Additive shares of two parties and a dealer.
mod additive_2_dealer {
    use tacit_protocols::suite::AdditiveParties;
    const WORLD: AdditiveParties = AdditiveParties {
        computing: 2,
        dealer: true,
    };
    tacit_protocols::engine_suite!(WORLD, boolean);
}

/// Additive shares of three parties and a dealer.
mod additive_3_dealer {
    use tacit_protocols::suite::AdditiveParties;
    const WORLD: AdditiveParties = AdditiveParties {
        computing: 3,
        dealer: true,
    };
    tacit_protocols::engine_suite!(WORLD, boolean);
}

/// Additive shares of two parties by oblivious transfer.
mod additive_2 {
    use tacit_protocols::suite::AdditiveParties;
    const WORLD: AdditiveParties = AdditiveParties {
        computing: 2,
        dealer: false,
    };
    tacit_protocols::engine_suite!(WORLD, boolean);
}

/// Additive shares of three parties by oblivious transfer.
mod additive_3 {
    use tacit_protocols::suite::AdditiveParties;
    const WORLD: AdditiveParties = AdditiveParties {
        computing: 3,
        dealer: false,
    };
    tacit_protocols::engine_suite!(WORLD, boolean);
}
