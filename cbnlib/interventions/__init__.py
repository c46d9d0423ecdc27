"""Operations on a trained network: turn a coordinate, remove modes, change the middle's grid."""
