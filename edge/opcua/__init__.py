"""OPC UA server of the station: read and subscribe, nothing is written or called."""
