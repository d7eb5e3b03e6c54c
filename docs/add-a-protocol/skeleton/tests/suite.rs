//! The primitives one by one, then everything an engine must pass.

use my_protocol::MyProtocol;
use tacit_protocols::suite::OnPrimitives;

const WORLD: OnPrimitives<MyProtocol> = OnPrimitives {
    parties: 3,
    protocol: || MyProtocol,
};

mod primitives {
    tacit_protocols::primitives_suite!(super::WORLD);
}

mod engine {
    tacit_protocols::engine_suite!(super::WORLD, boolean);
}
