export declare function lockDifferences(root: string): string[];
